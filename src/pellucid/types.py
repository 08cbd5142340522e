"""The words that every other module uses: images, labels, saliency maps, losses."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from torch import Tensor

from pellucid.errors import BadInput

Image: TypeAlias = Tensor
"""A batch of images [B, C, H, W], floating point, pixels in [0, 1]."""

Labels: TypeAlias = Tensor
"""One class index per image [B], int64."""

Attribution: TypeAlias = Tensor
"""One signed number per input entry [B, C, H, W], in units of logit per pixel value (gradients) or logit (IG)."""

Saliency: TypeAlias = Tensor
"""One number per pixel [B, 1, H, W]: an attribution after reduction over the channels."""


@dataclass(frozen=True)
class Loss:
    """What an objective returns.

    Attributes
    ----------
    total
        The scalar to minimise, with its graph.
    parts
        Named detached scalars for the training log.
    """

    total: Tensor
    parts: Mapping[str, Tensor] = field(default_factory=dict)


def check_images(x: Image, y: Labels) -> None:
    """Refuse anything but floating-point images with pixels in [0, 1] and one label each.

    Raises
    ------
    BadInput
        With the shape, range or number that was seen.
    """
    if x.ndim != 4 or not x.is_floating_point():
        raise BadInput(f"images must be floating point [B, C, H, W]; got {x.dtype} of shape {tuple(x.shape)}")
    if x.shape[0] != y.shape[0]:
        raise BadInput(f"{x.shape[0]} images came with {y.shape[0]} labels")
    if x.numel() == 0:
        return
    low, high = (bound.item() for bound in torch.aminmax(x.detach()))
    if not (low >= 0 and high <= 1):  # also catches NaN, which compares false
        raise BadInput(
            f"pixels must lie in [0, 1]; saw values from {low:.4g} to {high:.4g}. "
            "Normalisation belongs in the model's first layer, not in the data"
        )


def check_labels(y: Labels, classes: int) -> None:
    """Refuse labels outside 0 … classes - 1. Raises BadInput with the range that was seen."""
    if y.numel() and not 0 <= int(y.min()) <= int(y.max()) < classes:
        raise BadInput(f"labels must lie in 0 … {classes - 1}; saw {int(y.min())} to {int(y.max())}")
