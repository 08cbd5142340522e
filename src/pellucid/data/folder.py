"""Any data set laid out as class folders."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pellucid.data.attention import decode_maps
from pellucid.data.dataset import Dataset, Split
from pellucid.data.decoding import Channels
from pellucid.data.sources import find_root, not_found
from pellucid.data.trees import image_files, load_tree, split_folders
from pellucid.errors import BadInput
from pellucid.naming import Count


def folder(
    root: Path | None = None,
    split: Split = "train",
    *,
    image_size: Count | None = None,
    channels: Channels = "auto",
    attention: Path | None = None,
) -> Dataset:
    """Your own images: ``train/<class>/…`` and ``test/<class>/…`` (or ``val``) in the data root itself.

    Classes: the names of the class folders, sorted. Licence: that of your images.
    Looked for in: `root`, else $PELLUCID_DATA.

    Parameters
    ----------
    image_size
        Shorter side resized to it (antialiased, aspect ratio kept), then the centre cropped. None: all images must
        already have one size.
    channels
        "auto": what the first image has, and all must have it; "grey" or "rgb": every image is converted.
    attention
        Folder of attention maps, relative to the data root: for ``train/cat/deep/7.jpeg`` the map is
        ``<attention>/train/cat/deep/7.png`` (or ``.jpg``), grey with 8 bits (0 … 255 for 0 … 1), of the size of its
        image, with which it is resized and cropped.

    Raises
    ------
    BadInput
        With the path: missing or empty folders, classes that differ between train and test, images that cannot be
        read, mixed sizes or channels; attention maps that are missing, not grey with 8 bits, or of another size.
    """
    base = find_root(root)
    if base is None:
        raise not_found("images", "train/<class>/… and test/<class>/…", base)
    dataset = load_tree(base, split, name="folder", image_size=image_size, channels=channels)
    if attention is None:
        return dataset
    half = split_folders(base)[split]
    images = [path for name in dataset.classes for path in image_files(half / name)]  # the order of load_tree
    maps = _maps_of(images, base, base / attention)
    return replace(dataset, attention=decode_maps(images, maps, image_size=image_size))


def _maps_of(images: Sequence[Path], base: Path, maps: Path) -> list[Path]:
    """The map of each image: the file of the same name under `maps` instead of `base`."""
    stems = [maps / image.relative_to(base).with_suffix("") for image in images]
    files = [next((f for f in (Path(f"{stem}.png"), Path(f"{stem}.jpg")) if f.is_file()), None) for stem in stems]
    missing = [stem for stem, file in zip(stems, files, strict=True) if file is None]
    if missing:
        raise BadInput(
            f"{len(missing)} of {len(images)} images have no attention map; the first that is missing is "
            f"{missing[0]}.png (or .jpg)"
        )
    return [file for file in files if file]
