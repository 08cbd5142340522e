"""The Gaussian filter of T3S."""

import math

from torch import Tensor

from pellucid.errors import BadInput
from pellucid.filters.checks import check_maps, check_size
from pellucid.filters.separable import separable


def gaussian(x: Tensor, *, size: int = 3, sigma: float | tuple[float, float]) -> Tensor:
    """Smooth each channel with a sampled Gaussian (T3S; definitions §1.1).

    The taps are w_t ∝ exp(-t² / 2σ²), normalised to 1 along each axis; the border is reflected (edge pixel not
    repeated), replicated along an axis of one pixel. Constant maps do not change. For σ well above the size (T3S takes
    σ from the feature map, not from the kernel) this is nearly :func:`~pellucid.filters.mean`.

    Parameters
    ----------
    x
        Maps [B, C, H, W], any floating point type, any range.
    size
        Width of the window in pixels, odd.
    sigma
        Standard deviation in pixels, or (σ along H, σ along W).

    Returns
    -------
    Tensor
        [B, C, H, W], differentiable any number of times, in the units of `x`.

    Raises
    ------
    BadInput
        If `size` is even or below 1, or a sigma is not a positive finite number.
    """
    check_maps(x)
    check_size(size)
    sigma_y, sigma_x = check_sigma(sigma)
    return separable(x, gaussian_taps(size, sigma_y), gaussian_taps(size, sigma_x))


def gaussian_taps(size: int, sigma: float) -> list[float]:
    """The normalised weights from the centre outwards: w₀, w₁ … of a window of `size` pixels."""
    # (t/σ)·(t/σ) rather than t²/σ²: a tiny sigma then gives the weight 0 and not a division by 0
    weights = [math.exp(-0.5 * (t / sigma) * (t / sigma)) for t in range(size // 2 + 1)]
    total = weights[0] + 2 * sum(weights[1:])
    return [weight / total for weight in weights]


def check_sigma(sigma: float | tuple[float, float]) -> tuple[float, float]:
    """`sigma` as the pair (along H, along W); raises BadInput unless both are positive and finite."""
    pair = sigma if isinstance(sigma, tuple) else (sigma, sigma)
    numbers = len(pair) == 2 and all(isinstance(s, int | float) and not isinstance(s, bool) for s in pair)
    if not numbers or not all(math.isfinite(s) and s > 0 for s in pair):
        raise BadInput(f"sigma must be a positive number of pixels or a pair (along H, along W) of them; got {sigma!r}")
    return float(pair[0]), float(pair[1])
