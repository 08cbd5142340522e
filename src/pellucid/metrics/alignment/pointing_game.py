"""The pointing game: whether a saliency map's highest point lies where people look."""

from torch import Tensor

from pellucid.metrics.alignment.maps import ATTENDED, sizes_and_attention
from pellucid.types import Saliency


def pointing_game(saliency: Saliency, attention: Tensor) -> Tensor:
    """1 for a hit, the pixel of the largest |a| having m > 0.5, and 0 for a miss (higher is better).

    Where several pixels share the maximum: the share of them that hits.

    Parameters
    ----------
    saliency
        [B, 1, H, W], signed or not; its scale does not matter.
    attention
        m [B, 1, H, W] in [0, 1]. Chance is the share of pixels with m > 0.5; where there are none, every map misses.

    Returns
    -------
    Tensor
        [B] float64 in [0, 1]; NaN where the saliency map is zero everywhere or not finite.

    References
    ----------
    Definitions §2.2; Zhang et al. 2018, "Top-down neural attention by excitation backprop" (there with a tolerance of
    15 pixels around the object, here without).
    """
    sizes, weights = sizes_and_attention(saliency, attention)
    highest = sizes == sizes.amax(1, keepdim=True)
    return (highest & (weights > ATTENDED)).sum(1).double() / highest.sum(1)  # NaN equals nothing: 0/0 = NaN
