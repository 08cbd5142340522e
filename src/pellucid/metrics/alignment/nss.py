"""NSS: how far a saliency map stands out where people look."""

import torch
from torch import Tensor

from pellucid.metrics.alignment.maps import ATTENDED, sizes_and_attention
from pellucid.types import Saliency


def nss(saliency: Saliency, attention: Tensor) -> Tensor:
    """Normalised scanpath saliency: the mean of the standardised |a| over the pixels with m > 0.5 (higher is better).

    |a| is brought to mean 0 and (population) standard deviation 1 over the whole image. The published measure takes the
    mean over fixated points; here it is over the attended area.

    Parameters
    ----------
    saliency
        [B, 1, H, W], signed or not; its scale and an offset of |a| do not matter.
    attention
        m [B, 1, H, W] in [0, 1].

    Returns
    -------
    Tensor
        [B] float64 in standard deviations; 0 is chance. NaN where no pixel or every pixel is attended, or where |a| is
        the same everywhere (zero included) or not finite.

    References
    ----------
    Definitions §2.2; Peters et al. 2005, "Components of bottom-up gaze allocation in natural images".
    """
    sizes, weights = sizes_and_attention(saliency, attention)
    inside = weights > ATTENDED
    shares = sizes / sizes.amax(1, keepdim=True)  # all exactly 1 for a constant map, and 0/0 = NaN below
    centred = shares - shares.mean(1, keepdim=True)
    z = centred / centred.square().mean(1, keepdim=True).sqrt()
    undefined = inside.all(1) | ~inside.any(1)
    return torch.where(undefined, torch.nan, (z * inside).sum(1) / inside.sum(1))
