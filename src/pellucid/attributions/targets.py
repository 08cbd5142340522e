"""The check that every attribution makes of what it is given."""

import torch

from pellucid.errors import BadInput
from pellucid.types import Image, Labels


def check_target(x: Image, target: Labels) -> None:
    """Refuse anything but images [B, C, H, W] with one int64 class each.

    A target shorter than the batch would otherwise go unseen: the images left over would get a gradient of zero.
    """
    if x.ndim != 4 or not x.is_floating_point():
        raise BadInput(f"images must be floating point [B, C, H, W]; got {x.dtype} of shape {tuple(x.shape)}")
    if target.shape != x.shape[:1] or target.dtype != torch.int64:
        seen = f"{target.dtype} of shape {tuple(target.shape)}"
        raise BadInput(f"the target must be one class per image, int64 of shape ({x.shape[0]},); got {seen}")
