"""A data set in memory: all images as one uint8 tensor, and what is cut and computed from it."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from pellucid.errors import BadInput
from pellucid.randomness import generator
from pellucid.types import Image, Labels

Split = Literal["train", "test"]

WAYS_TO_MAPS = (
    "use cub-gha, block-fashion, folder with attention: <folder of maps>, or fashion-mnist-mini or fashion-mnist "
    "with attention: garment"
)
"""The data sets that have attention maps, for error messages."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled images of one size, decoded once.

    Attributes
    ----------
    name, split
        As in a config ("fashion-mnist-mini"); "train", "validation" or "test".
    images
        uint8 [N, C, H, W], pixels 0 … 255.
    labels
        int64 [N], indices into `classes`.
    classes
        Names for people.
    ids
        int64 [N]: the position of each image in the full split. Subsets keep it, so per-image randomness and
        per-image measurements follow the image wherever it goes.
    attention
        uint8 [N, 1, H, W], where people look in each image: 0 … 255 for 0 … 1. None for a data set without maps.

    Raises
    ------
    BadInput
        If types, shapes, lengths or labels are not as above; says what was seen.
    """

    name: str
    split: str
    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    ids: Tensor
    attention: Tensor | None = None

    def __post_init__(self) -> None:
        if self.images.dtype != torch.uint8 or self.images.ndim != 4:
            raise BadInput(f"{self} needs images as uint8 [N, C, H, W], pixels 0 … 255; got {_seen(self.images)}")
        for what, value in (("labels", self.labels), ("ids", self.ids)):
            if value.dtype != torch.int64 or value.ndim != 1:
                raise BadInput(f"{self} needs {what} as int64 [N]; got {_seen(value)}")
            if len(value) != len(self.images):
                raise BadInput(f"{self} came with {len(self.images)} images but {len(value)} {what}")
        if len(self.labels) and not 0 <= int(self.labels.min()) <= int(self.labels.max()) < len(self.classes):
            seen = f"{int(self.labels.min())} to {int(self.labels.max())}"
            raise BadInput(f"labels of {self} must lie in 0 … {len(self.classes) - 1}; saw {seen}")
        if self.attention is not None:
            self._check_attention(self.attention)

    def _check_attention(self, maps: Tensor) -> None:
        expected = (len(self.images), 1, *self.images.shape[2:])
        if maps.dtype != torch.uint8 or maps.shape != expected:
            raise BadInput(f"{self} needs attention maps as uint8 {list(expected)}, 0 … 255; got {_seen(maps)}")

    def __len__(self) -> int:
        return len(self.images)

    def __str__(self) -> str:
        return f"{self.name} ({self.split})"

    @property
    def channels(self) -> int:
        """1 for grey, 3 for colour."""
        return self.images.shape[1]

    @property
    def image_size(self) -> int:
        """Side of the images in pixels. Raises BadInput if they are not square."""
        height, width = self.images.shape[2:]
        if height != width:
            raise BadInput(f"images of {self} are {width} × {height} pixels, not square: give an image_size")
        return height

    def batch(self, indices: Tensor | Sequence[int]) -> tuple[Image, Labels]:
        """Images float32 [B, C, H, W] in [0, 1] and labels int64 [B] at the given positions."""
        chosen = torch.as_tensor(indices, dtype=torch.int64)
        return self.images[chosen].float().div_(255), self.labels[chosen]

    def attention_batch(self, indices: Tensor | Sequence[int]) -> Tensor:
        """Attention maps float32 [B, 1, H, W] in [0, 1] at the given positions. Raises BadInput if there are none."""
        if self.attention is None:
            raise BadInput(f"{self} has no attention maps: {WAYS_TO_MAPS}")
        return self.attention[torch.as_tensor(indices, dtype=torch.int64)].float().div_(255)

    def subset(self, positions: Tensor | Sequence[int]) -> "Dataset":
        """The images at the given positions, in that order, with their ids."""
        chosen = torch.as_tensor(positions, dtype=torch.int64)
        attention = None if self.attention is None else self.attention[chosen]
        images, labels, ids = self.images[chosen], self.labels[chosen], self.ids[chosen]
        return replace(self, images=images, labels=labels, ids=ids, attention=attention)

    def digest(self) -> str:
        """SHA-256 (hexadecimal) of shape, pixels, labels and attention maps: one digest, the same data."""
        digest = hashlib.sha256(repr(tuple(self.images.shape)).encode())
        digest.update(self.images.contiguous().view(-1).cpu().numpy().data)
        digest.update(self.labels.cpu().numpy().astype("<i8").data)
        if self.attention is not None:
            digest.update(self.attention.contiguous().view(-1).cpu().numpy().data)
        return digest.hexdigest()


def split_validation(dataset: Dataset, size: int | float, *, seed: int) -> tuple[Dataset, Dataset]:
    """Cut a validation set from a training set: seeded, disjoint, each class in proportion.

    Parameters
    ----------
    size
        Number of validation images (int) or share of the data set (float in (0, 1)).

    Returns
    -------
    train, validation
        Both in the order of `dataset`, ids kept. The classes share the validation images as Webster's apportionment
        (Sainte-Laguë) would share seats, but each class has at least one image on either side.

    Raises
    ------
    BadInput
        If there are too few images for one of every class on both sides.
    """
    count = round(size * len(dataset)) if isinstance(size, float) else size
    per_class = torch.bincount(dataset.labels, minlength=len(dataset.classes))
    present = int((per_class > 0).sum())
    if (per_class == 1).any():
        name = dataset.classes[int((per_class == 1).nonzero()[0])]
        raise BadInput(f"class '{name}' of {dataset} has 1 image: a validation split needs at least 2 of each class")
    if not max(present, 1) <= count <= len(dataset) - present:
        raise BadInput(
            f"cannot cut {count} validation images from the {len(dataset)} of {dataset}: with {present} classes, "
            f"one image of each on both sides, {present} to {len(dataset) - present} are possible"
        )
    shuffled = torch.randperm(len(dataset), generator=generator("validation split", seed))
    by_class = shuffled[dataset.labels[shuffled].argsort(stable=True)]
    counts = per_class[dataset.labels[by_class]]
    rank = torch.arange(len(dataset)) - (per_class.cumsum(0) - per_class)[dataset.labels[by_class]]
    turn = (rank.double() + 0.5) / counts  # Webster: the k-th image of a class of n has its turn at (k + ½) / n
    turn[rank == 0] = 0.0
    turn[rank == counts - 1] = 1.0
    order = by_class[turn.argsort(stable=True)]
    train, validation = order[count:].sort().values, order[:count].sort().values
    return dataset.subset(train), replace(dataset.subset(validation), split="validation")


def channel_statistics(dataset: Dataset) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and (population) standard deviation of the pixels of each channel, in units of the [0, 1] scale.

    Exact up to rounding: computed in float64 from the histogram of the 256 values.

    Raises
    ------
    BadInput
        If a channel never changes, so that no normalisation could scale it.
    """
    values = torch.arange(256, dtype=torch.float64) / 255
    means, deviations = [], []
    for channel in range(dataset.channels):
        share = torch.bincount(dataset.images[:, channel].flatten(), minlength=256).double()
        share /= share.sum()
        mean = (share * values).sum()
        variance = (share * (values - mean) ** 2).sum()
        if not variance > 0:
            raise BadInput(f"channel {channel} of {dataset} has one value in all pixels: it cannot be normalised")
        means.append(mean.item())
        deviations.append(variance.sqrt().item())
    return tuple(means), tuple(deviations)


def _seen(value: Tensor) -> str:
    shown = f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}"
    if value.numel() == 0 or value.is_complex():
        return shown
    return f"{shown} with values from {value.min().item():.4g} to {value.max().item():.4g}"
