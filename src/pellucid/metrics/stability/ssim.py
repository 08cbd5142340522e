"""Structural similarity of two saliency maps, as a map and the map under noise."""

from torch import Tensor

from pellucid.errors import BadInput
from pellucid.metrics.stability.pairs import against, as_given
from pellucid.types import Saliency

K1, K2 = 0.01, 0.03
"""The constants of Wang et al."""


def ssim(a: Saliency, b: Saliency, *, data_range: float, window: int = 5) -> Tensor:
    """Mean SSIM over all windows that lie inside the map (higher is more alike).

    Uniform window, sample covariance: the numbers of scikit-image's ``structural_similarity(win_size=window,
    data_range=data_range)``, computed in float64.

    Parameters
    ----------
    a, b
        [B, 1, H, W], any real values. `b` may hold S maps for each of `a`, [B, S, 1, H, W].
    data_range
        R in C1 = (0.01 R)² and C2 = (0.03 R)². The result depends on it: two independent maps much smaller than R
        count as alike.
    window
        Odd side of the window in pixels.

    Returns
    -------
    Tensor
        [B] (or [B, S]) float64 in [−1, 1]; 1 for equal maps, NaN where a map is not finite.

    References
    ----------
    Wang et al. 2004, "Image quality assessment"; definitions §4.2.
    """
    one, others = against(a, b)
    if a.ndim != 4 or a.shape[1] != 1:
        raise BadInput(f"SSIM compares saliency maps [B, 1, H, W]; got {tuple(a.shape)}")
    if window % 2 == 0 or not 1 < window <= min(a.shape[2:]):
        size = f"{a.shape[2]} × {a.shape[3]}"
        raise BadInput(f"the window of SSIM must be odd, at least 3 and fit into the map of {size}; got {window}")
    # Variances and covariances are taken of the deviations from the map's own mean: a large common offset would cancel.
    level_a, own, mean_a, variance_a = _moments(one[:, :, 0].double(), window)
    level_b, other, mean_b, variance_b = _moments(others[:, :, 0].double(), window)
    covariance = _sample(window) * (_local_mean(own * other, window) - mean_a * mean_b)
    mean_a, mean_b = mean_a + level_a, mean_b + level_b
    c1, c2 = (K1 * data_range) ** 2, (K2 * data_range) ** 2
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    structure = (2 * covariance + c2) / (variance_a + variance_b + c2)
    return as_given((luminance * structure).flatten(2).mean(2), a, b)


def ssim_clean(a: Saliency, b: Saliency) -> Tensor:
    """SSIM of two maps that are each divided by their own largest absolute value (higher is more alike).

    With data_range 1 and window 5. The scale of either map does not matter, so a model cannot gain by small gradients.

    Returns
    -------
    Tensor
        [B] float64 in [−1, 1]; NaN where a map is zero everywhere or not finite.

    References
    ----------
    Definitions §4.2, "clean". Saliency maps of gradients are non-negative; for signed maps (integrated gradients) the
    largest absolute value keeps the sign, which the plain maximum need not.
    """
    return ssim(_by_own_maximum(a), _by_own_maximum(b), data_range=1)


def ssim_legacy(a: Saliency, b: Saliency) -> Tensor:
    """SSIM as T3S measured it: maps as they are, data_range 2, window 5 (higher is more alike).

    With maps of size s it is near 1 for s ≤ 0.01 even if they are independent (definitions §4.2, D-M4). T3S computed in
    float32, here in float64: the numbers agree to about 1e-6.

    Returns
    -------
    Tensor
        [B] float64 in [−1, 1].
    """
    return ssim(a, b, data_range=2)


def _by_own_maximum(maps: Saliency) -> Tensor:
    maps = maps.double()
    return maps / maps.abs().amax((-3, -2, -1), keepdim=True)  # 0/0 = NaN for a map of zeros


def _moments(maps: Tensor, window: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of maps [B, S, H, W]: the level, the deviations from it, their mean and their variance in each window."""
    level = maps.mean((2, 3), keepdim=True)
    deviations = maps - level
    mean = _local_mean(deviations, window)
    return level, deviations, mean, _sample(window) * (_local_mean(deviations * deviations, window) - mean**2)


def _sample(window: int) -> float:
    """From the variance of all pixels of a window to that of a sample of them."""
    return window**2 / (window**2 - 1)


def _local_mean(maps: Tensor, window: int) -> Tensor:
    """Mean over every window inside maps [B, S, H, W]: shifted sums, twice as fast as pooling in float64."""
    for dim in (2, 3):
        places = maps.shape[dim] - window + 1
        total = maps.narrow(dim, 0, places) + maps.narrow(dim, 1, places)
        for shift in range(2, window):
            total += maps.narrow(dim, shift, places)
        maps = total
    return maps / window**2
