"""Labelled images as the user has them: a data set of Pellucid, or plain tensors."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pellucid.data.dataset import Dataset
from pellucid.errors import BadInput

Given = Dataset | tuple[Any, Any]
"""What a user may hand over: a data set, or (images [N, C, H, W], labels [N])."""


@dataclass(frozen=True, eq=False)
class Sample:
    """One split.

    Attributes
    ----------
    images
        [N, C, H, W] exactly as given: uint8, or floating point in whatever range.
    labels
        [N] exactly as given.
    classes
        Their names; None for plain tensors, where the largest label has to tell.
    """

    split: str
    images: Tensor
    labels: Tensor
    classes: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, positions: Tensor | Sequence[int]) -> Tensor:
        """Images at the given positions in floating point: bytes are divided by 255, all else stays."""
        chosen = self.images[torch.as_tensor(positions, dtype=torch.int64)]
        return chosen.float() / 255 if chosen.dtype == torch.uint8 else chosen.float()

    def spread(self, most: int) -> Tensor:
        """Up to `most` images [n, C, H, W] at equal distances over the split, in floating point."""
        count = min(most, len(self))
        return self.batch(torch.linspace(0, len(self) - 1, count).round().long())


def as_sample(given: Given, split: str) -> Sample:
    """The split as a :class:`Sample`. Raises BadInput if it is neither a data set nor images with a label each."""
    if isinstance(given, Dataset):
        return Sample(split, given.images, given.labels, given.classes)
    if not isinstance(given, tuple | list) or len(given) != 2:
        raise BadInput(
            f"the {split} images must be a pellucid.data data set or a pair (x, y) of tensors; got {_seen(given)}"
        )
    images, labels = (part.detach() if isinstance(part, Tensor) else torch.as_tensor(part) for part in given)
    if images.ndim != 4 or labels.ndim != 1 or len(images) != len(labels) or len(images) == 0:
        raise BadInput(
            f"the {split} images must be [N, C, H, W] with N ≥ 1 and the labels [N]; got {tuple(images.shape)} and "
            f"{tuple(labels.shape)}"
        )
    return Sample(split, images, labels)


def _seen(given: object) -> str:
    return f"a {type(given).__name__}"
