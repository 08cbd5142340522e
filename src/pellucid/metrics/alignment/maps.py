"""What the measures of alignment have in common."""

import torch
from torch import Tensor

from pellucid.data.attention import check_attention
from pellucid.errors import BadInput
from pellucid.types import Saliency

ATTENDED = 0.5
"""A pixel counts as looked at where its attention is above this (definitions §2.2)."""


def sizes_and_attention(saliency: Saliency, attention: Tensor) -> tuple[Tensor, Tensor]:
    """|a| and m as float64 [B, H·W]; the |a| of a map that is zero everywhere or not finite becomes NaN.

    Parameters
    ----------
    saliency
        [B, 1, H, W], signed or not.
    attention
        [B, 1, H, W] in [0, 1].

    Raises
    ------
    BadInput
        If the shapes are not these, or attention lies outside [0, 1].
    """
    if saliency.ndim != 4 or saliency.shape[1] != 1 or saliency.shape[2:].numel() == 0:
        raise BadInput(f"alignment is that of saliency maps [B, 1, H, W]; got {tuple(saliency.shape)}")
    check_attention(attention, saliency)
    sizes = saliency.flatten(1).double().abs()
    meaningless = ~sizes.isfinite().all(1) | (sizes == 0).all(1)
    return sizes.masked_fill(meaningless[:, None], torch.nan), attention.flatten(1).to(sizes)
