"""Energy inside: the share of a saliency map that lies where people look."""

from torch import Tensor

from pellucid.metrics.alignment.maps import sizes_and_attention
from pellucid.types import Saliency


def energy_inside(saliency: Saliency, attention: Tensor) -> Tensor:
    """Share of the map's mass on attended pixels, Σ m|a| / Σ|a| (higher is better aligned).

    Chance, a map that knows nothing, has the mean of m on average: compare with it, as maps differ in their area.

    Parameters
    ----------
    saliency
        [B, 1, H, W], signed or not; its scale does not matter.
    attention
        m [B, 1, H, W] in [0, 1]; values between count in part.

    Returns
    -------
    Tensor
        [B] float64 in [0, 1]; NaN where the saliency map is zero everywhere or not finite.

    References
    ----------
    Definitions §2.2; for boxes, Wang et al. 2020, "Score-CAM" (energy-based pointing game).
    """
    sizes, weights = sizes_and_attention(saliency, attention)
    shares = sizes / sizes.amax(1, keepdim=True)  # so that no sum overflows or underflows
    return (weights * shares).sum(1) / shares.sum(1)
