"""Trees of class folders: ``train/<class>/…`` and ``test/<class>/…`` (or ``val/<class>/…``)."""

import os
from pathlib import Path

import torch

from pellucid.data.dataset import Dataset
from pellucid.data.decoding import EXTENSIONS, Channels, decode
from pellucid.data.sources import check_split
from pellucid.errors import BadInput


def is_tree(root: Path) -> bool:
    """Whether `root` has both halves of a tree."""
    return (root / "train").is_dir() and any((root / name).is_dir() for name in ("test", "val"))


def load_tree(root: Path, split: str, *, name: str, image_size: int | None, channels: Channels) -> Dataset:
    """Decode one split of a tree of class folders; see `decode` for sizes and channels.

    The order is fixed: classes by folder name, images by path inside it. Files that are no images by their extension
    and hidden files are passed over.

    Raises
    ------
    BadInput
        With the path, if a folder is missing or a class folder is empty, if train and test have different classes,
        or if an image cannot be used.
    """
    check_split(split)
    halves = split_folders(root)
    classes = class_names(halves["train"])
    for strange in sorted(set(classes) ^ set(class_names(halves["test"]))):
        has, lacks = ("train", "test") if strange in classes else ("test", "train")
        raise BadInput(f"{halves[has] / strange} has no counterpart {halves[lacks] / strange}: both need every class")
    files = [image_files(halves[split] / name) for name in classes]
    paths = [path for in_class in files for path in in_class]
    labels = torch.tensor([label for label, in_class in enumerate(files) for _ in in_class])
    images = decode(paths, image_size=image_size, channels=channels)
    return Dataset(name, split, images, labels, tuple(classes), torch.arange(len(paths)))


def split_folders(root: Path) -> dict[str, Path]:
    """The folders of "train" and "test" (called test or val). Raises BadInput with the path if one is missing."""
    if not (root / "train").is_dir():
        raise BadInput(f"{root} has no folder 'train': expected train/<class>/… and test/<class>/… in it")
    for name in ("test", "val"):
        if (root / name).is_dir():
            return {"train": root / "train", "test": root / name}
    raise BadInput(f"{root} has neither a folder 'test' nor 'val' beside 'train': put test images into test/<class>/…")


def class_names(folder: Path) -> list[str]:
    """Sorted names of the class folders in `folder`. Raises BadInput with the path if there are none."""
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not names:
        raise BadInput(f"{folder} holds no class folders: expected {folder.name}/<class>/<image>")
    for name in names:
        if any("\ud800" <= letter <= "\udfff" for letter in name):  # bytes that are no UTF-8 arrive as surrogates
            raise BadInput(f"class folder {name!r} in {folder} has a name that is not valid UTF-8: rename it")
    return names


def image_files(folder: Path) -> list[Path]:
    """Image files at any depth under `folder`, sorted by path. Raises BadInput with the path if there are none."""
    paths = [
        os.path.join(parent, name)
        for parent, _, names in os.walk(folder, followlinks=True)
        for name in names
        if name.lower().endswith(EXTENSIONS) and not name.startswith(".")
    ]
    if not paths:
        raise BadInput(f"class folder {folder} holds no images ({', '.join(EXTENSIONS)}): fill it or remove it")
    return [Path(path) for path in sorted(paths)]
