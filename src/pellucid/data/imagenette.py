"""Imagenette: ten classes of ImageNet that are easy to tell apart."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

from pellucid.data.dataset import Dataset, Split
from pellucid.data.sources import check_split, find_root, not_found
from pellucid.data.trees import is_tree, load_tree
from pellucid.errors import unknown_name
from pellucid.naming import Count

TORCHVISION_FOLDERS = {"160": "imagenette2-160", "320": "imagenette2-320", "full": "imagenette2"}
CLASS_OF_WORDNET_ID = {
    "n01440764": "tench",
    "n02102040": "English springer",
    "n02979186": "cassette player",
    "n03000684": "chain saw",
    "n03028079": "church",
    "n03394916": "French horn",
    "n03417042": "garbage truck",
    "n03425413": "gas pump",
    "n03445777": "golf ball",
    "n03888257": "parachute",
}


def imagenette(
    root: Path | None = None,
    split: Split = "train",
    *,
    size: Literal["160", "320", "full", 160, 320] = "160",
    image_size: Count = 128,
) -> Dataset:
    """Imagenette: about 9,500 training and 3,900 test photographs (its folder ``val``) in 10 classes, RGB.

    Source: https://github.com/fastai/imagenette (Apache-2.0), images from ImageNet (under its terms of access).
    Looked for in: `root`, else $PELLUCID_DATA: torchvision's ``imagenette2``, ``imagenette2-320`` and
    ``imagenette2-160``, any other folder ``imagenette*`` with the size in its name, or the data root itself.

    Parameters
    ----------
    size
        Which copy to read: shorter side 160 or 320 pixels, or as photographed.
    image_size
        The shorter side is resized to it and the centre cropped. The published setting is 224 from the copy "320".

    Raises
    ------
    BadInput
        If there is no such copy, or with the path of what is wrong in it.
    """
    check_split(split)
    copy = str(size)  # unquoted numbers in YAML are integers
    if copy not in TORCHVISION_FOLDERS:
        raise unknown_name("size of Imagenette", copy, TORCHVISION_FOLDERS)
    base = find_root(root)
    found = _find(base, copy) if base else None
    if found is None:
        needed = f"{TORCHVISION_FOLDERS[copy]}/train/<class>/… and …/val/<class>/…"
        raise not_found(f"Imagenette of size {copy}", needed, base)
    # The published code resizes test images to a square, which distorts them (definitions D-T15); we keep the aspect
    # ratio and crop. A few images of ImageNet are grey; they become RGB.
    dataset = load_tree(found, split, name="imagenette", image_size=image_size, channels="rgb")
    return replace(dataset, classes=tuple(CLASS_OF_WORDNET_ID.get(name, name) for name in dataset.classes))


def _find(base: Path, size: str) -> Path | None:
    """The first tree of that size: torchvision's name, then other names in order, then the data root itself."""
    places = [base / TORCHVISION_FOLDERS[size], *sorted(base.glob("imagenette*")), base]
    return next((place for place in places if is_tree(place) and _size_in_name(place, default=size) == size), None)


def _size_in_name(folder: Path, default: str) -> str:
    """Size that a folder's name announces; `default` for a name that has nothing to do with Imagenette."""
    if "imagenette" not in folder.name.lower():
        return default
    return next((size for size in ("160", "320") if size in folder.name), "full")
