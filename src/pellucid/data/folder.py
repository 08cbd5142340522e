"""Any data set laid out as class folders."""

from pathlib import Path

from pellucid.data.dataset import Dataset, Split
from pellucid.data.decoding import Channels
from pellucid.data.sources import find_root, not_found
from pellucid.data.trees import load_tree
from pellucid.naming import Count


def folder(
    root: Path | None = None,
    split: Split = "train",
    *,
    image_size: Count | None = None,
    channels: Channels = "auto",
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

    Raises
    ------
    BadInput
        With the path: missing or empty folders, classes that differ between train and test, images that cannot be
        read, mixed sizes or channels.
    """
    base = find_root(root)
    if base is None:
        raise not_found("images", "train/<class>/… and test/<class>/…", base)
    return load_tree(base, split, name="folder", image_size=image_size, channels=channels)
