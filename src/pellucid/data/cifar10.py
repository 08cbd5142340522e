"""CIFAR-10, from torchvision's batches or from a tree of class folders."""

from pathlib import Path

import torch

from pellucid.data.dataset import Dataset, Split
from pellucid.data.sources import check_split, find_root, not_found
from pellucid.data.trees import class_names, is_tree, load_tree, split_folders
from pellucid.errors import BadInput

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
BATCHES = "cifar-10-batches-py"


def cifar10(root: Path | None = None, split: Split = "train") -> Dataset:
    """CIFAR-10: 50,000 training and 10,000 test images, 32 × 32 RGB, 10 classes.

    Source: https://www.cs.toronto.edu/~kriz/cifar.html (Krizhevsky 2009; no licence stated).
    Looked for in: `root`, else $PELLUCID_DATA: torchvision's batches ``cifar-10-batches-py``, or a tree
    ``train/<class>/…``, ``test/<class>/…`` in ``cifar10``, ``cifar10-jpeg`` or the data root itself. A tree of JPEGs
    has slightly other pixels than the batches: the digests differ.

    Raises
    ------
    BadInput
        If there is no copy, or with the path of the damaged or unexpected file.
    """
    check_split(split)
    base = find_root(root)
    if base and (base / BATCHES).is_dir():
        return _from_batches(base, split)
    for place in (base / "cifar10", base / "cifar10-jpeg", base) if base else ():
        if is_tree(place):
            return _from_tree(place, split)
    raise not_found("CIFAR-10", f"torchvision's {BATCHES} or a tree cifar10/train/<class>/…, …/test/<class>/…", base)


def _from_batches(base: Path, split: str) -> Dataset:
    # Imported here because torchvision takes seconds to import, which the other data sets need not pay.
    from torchvision.datasets import CIFAR10  # noqa: PLC0415
    from torchvision.datasets.utils import check_integrity  # noqa: PLC0415

    expected = [*CIFAR10.train_list, *CIFAR10.test_list, [CIFAR10.meta["filename"], CIFAR10.meta["md5"]]]
    for filename, md5 in expected:  # torchvision also checks, before it unpickles, but does not say which file is bad
        path = base / BATCHES / filename
        if not check_integrity(path, md5):
            raise BadInput(f"{path} is {'damaged (wrong MD5)' if path.exists() else 'missing'}: get CIFAR-10 again")
    batches = CIFAR10(str(base), train=split == "train")
    images = torch.from_numpy(batches.data).permute(0, 3, 1, 2).contiguous()
    return Dataset("cifar10", split, images, torch.tensor(batches.targets), CLASSES, torch.arange(len(images)))


def _from_tree(place: Path, split: str) -> Dataset:
    # The ten names are in alphabetical order, so a tree gets the same labels as the batches.
    for folder in split_folders(place).values():
        if tuple(names := class_names(folder)) != CLASSES:
            strange = ", ".join(sorted(set(names) ^ set(CLASSES)))
            raise BadInput(f"{folder} must hold exactly the ten classes of CIFAR-10; missing or unknown: {strange}")
    dataset = load_tree(place, split, name="cifar10", image_size=None, channels="rgb")
    if dataset.images.shape[2:] != (32, 32):
        height, width = dataset.images.shape[2:]
        raise BadInput(f"{place} holds images of {width} × {height} pixels; those of CIFAR-10 have 32 × 32")
    return dataset
