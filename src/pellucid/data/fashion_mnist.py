"""Fashion-MNIST from its four idx files."""

import gzip
import zlib
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from pellucid.data.dataset import Dataset, Split
from pellucid.data.object_mask import object_mask
from pellucid.data.sources import check_split, find_root
from pellucid.errors import BadInput, RunFailed

CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
DEBIAN = Path("/usr/share/datasets/fashion-mnist")
PREFIX = {"train": "train", "test": "t10k"}


def fashion_mnist(
    root: Path | None = None,
    split: Split = "train",
    *,
    download: bool = False,
    attention: Literal["garment"] | None = None,
) -> Dataset:
    """Fashion-MNIST: 60,000 training and 10,000 test images of clothes, 28 × 28 grey, 10 classes.

    Source: https://github.com/zalandoresearch/fashion-mnist (Xiao, Rasul, Vollgraf 2017), MIT licence.
    Looked for, with or without ``.gz``, in: `root`, else $PELLUCID_DATA (the folder itself, ``fashion-mnist`` or
    torchvision's ``FashionMNIST/raw`` in it), and without a `root` where Debian's package dataset-fashion-mnist
    puts it.

    Parameters
    ----------
    download
        If it is in none of these places, let torchvision download it into `root` or $PELLUCID_DATA.
    attention
        "garment": give every image the mask of its garment (:func:`pellucid.data.object_mask.object_mask`) as attention
        map. A stand-in computed from the pixels, not gaze: nobody's attention was recorded for these images.

    Raises
    ------
    BadInput
        If it is nowhere, or with the path of the damaged file.
    RunFailed
        If the download fails.
    """
    check_split(split)
    base = find_root(root)
    places = [base, base / "fashion-mnist", base / "FashionMNIST" / "raw"] if base else []
    if root is None:
        places.append(DEBIAN)
    found = _find(places, split)
    if found is None and download and base:
        _download(base)
        found = _find(places, split)
    if found is None:
        where = " or ".join(str(place) for place in (base, None if root else DEBIAN) if place)
        raise BadInput(
            f"found no Fashion-MNIST in {where}: give its folder with --data-root or $PELLUCID_DATA, or install "
            "Debian's package dataset-fashion-mnist (and give no --data-root), or let torchvision download it into "
            "--data-root or $PELLUCID_DATA (data option download: true)"
        )
    images, labels = read_idx(found[0], dimensions=3), read_idx(found[1], dimensions=1)
    if images.shape != (len(labels), 28, 28) or len(labels) == 0 or labels.max() >= len(CLASSES):
        seen = f"images {list(images.shape)}, {len(labels)} labels up to {max(labels.tolist(), default=0)}"
        raise BadInput(f"{found[0]} and {found[1].name} do not hold Fashion-MNIST (28 × 28, labels to 9): {seen}")
    ids, maps = torch.arange(len(images)), object_mask(images[:, None]) if attention else None
    return Dataset("fashion-mnist", split, images[:, None], labels.long(), CLASSES, ids, maps)


def read_idx(path: Path, *, dimensions: int) -> Tensor:
    """An idx file of unsigned bytes, gzipped or not, as a uint8 tensor. Raises BadInput with the path if damaged.

    The header is big-endian: the bytes 0, 0, 8 (unsigned byte), the number of dimensions, then each of them. (The
    reader of torchvision does not open gzipped files, which is how Debian and the authors ship them.)
    """
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        magic, *shape = np.frombuffer(content, ">u4", count=1 + dimensions).tolist()
        if magic != 0x800 + dimensions:
            raise ValueError(f"it begins with {content[:4].hex()}, not {0x800 + dimensions:08x}")
        pixels = np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(shape)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise BadInput(f"{path} is damaged or not an idx file of {dimensions} dimensions: {error}") from error
    return torch.from_numpy(pixels.copy())


def _find(places: list[Path], split: str) -> tuple[Path, Path] | None:
    """Images and labels of `split` in the first place that holds both."""
    for place in places:
        images = _plain_or_gzipped(place / f"{PREFIX[split]}-images-idx3-ubyte")
        labels = _plain_or_gzipped(place / f"{PREFIX[split]}-labels-idx1-ubyte")
        if images and labels:
            return images, labels
    return None


def _plain_or_gzipped(path: Path) -> Path | None:
    return next((file for file in (path, path.with_name(f"{path.name}.gz")) if file.is_file()), None)


def _download(base: Path) -> None:
    # Imported here because torchvision takes seconds to import, which reading the files need not pay.
    from torchvision.datasets import FashionMNIST  # noqa: PLC0415

    try:
        FashionMNIST(str(base), download=True)
    except (OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise RunFailed(f"torchvision could not download Fashion-MNIST into {base}: {reason}") from error
