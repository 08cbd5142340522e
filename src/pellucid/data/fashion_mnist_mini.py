"""The data set that travels in the package: a fixed, class-balanced draw from Fashion-MNIST."""

import hashlib
import io
from importlib.resources import files
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from pellucid.data.dataset import Dataset, Split
from pellucid.data.fashion_mnist import CLASSES
from pellucid.data.object_mask import object_mask
from pellucid.data.sources import check_split
from pellucid.errors import BadInput

FILE = files("pellucid.data") / "embedded" / "fashion-mnist-mini.npz"
SHA256 = "94df48ff8a1434ec0bdbe67d2a1d0c7f70b391f8623828b373e2b4059ae65e3e"


def fashion_mnist_mini(
    root: Path | None = None, split: Split = "train", *, attention: Literal["garment"] | None = None
) -> Dataset:
    """Fashion-MNIST in small: 10,000 training and 2,000 test images, 28 × 28 grey, 10 classes, each equally often.

    Drawn once with a fixed seed from the official training and test sets (``scripts/embed_fashion_mnist.py``); see
    :func:`original_indices`. Source: https://github.com/zalandoresearch/fashion-mnist (Xiao, Rasul, Vollgraf 2017), MIT
    licence (``embedded/FASHION-MNIST-LICENSE.txt``). Looked for in: the package itself; `root` is not used.

    Parameters
    ----------
    attention
        "garment": give every image the mask of its garment (:func:`pellucid.data.object_mask.object_mask`) as attention
        map. A stand-in computed from the pixels, not gaze: nobody's attention was recorded for these images.

    Raises
    ------
    BadInput
        If the file in the package is missing or damaged.
    """
    del root  # the other data sets have one
    check_split(split)
    with np.load(_verified(), allow_pickle=False) as arrays:
        images = torch.from_numpy(arrays[f"{split}_images"])[:, None]
        labels = torch.from_numpy(arrays[f"{split}_labels"]).long()
    maps = object_mask(images) if attention else None
    return Dataset("fashion-mnist-mini", split, images, labels, CLASSES, torch.arange(len(images)), maps)


def original_indices(split: Split) -> Tensor:
    """Positions int64 [N] of the images in the official training or test set of Fashion-MNIST."""
    check_split(split)
    with np.load(_verified(), allow_pickle=False) as arrays:
        return torch.from_numpy(arrays[f"{split}_original_indices"]).long()


def _verified() -> io.BytesIO:
    try:
        content = FILE.read_bytes()
    except OSError as error:
        raise BadInput(f"{FILE} cannot be read ({error.strerror}): install pellucid again") from error
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise BadInput(f"{FILE} is damaged (its SHA-256 is not the expected one): install pellucid again")
    return io.BytesIO(content)
