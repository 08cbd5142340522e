"""The mean (box) filter of T3S, its M1."""

from torch import Tensor

from pellucid.filters.checks import check_maps, check_size
from pellucid.filters.separable import separable


def mean(x: Tensor, *, size: int = 3) -> Tensor:
    """Replace each pixel by the mean of its window, each channel on its own (T3S; definitions §1.1).

    The border is reflected (edge pixel not repeated), replicated along an axis of one pixel. Constant maps do not
    change.

    Parameters
    ----------
    x
        Maps [B, C, H, W], any floating point type, any range.
    size
        Width of the window in pixels, odd.

    Returns
    -------
    Tensor
        [B, C, H, W], differentiable any number of times, in the units of `x`.

    Raises
    ------
    BadInput
        If `size` is even or below 1.
    """
    check_maps(x)
    check_size(size)
    taps = [1 / size] * (size // 2 + 1)
    return separable(x, taps, taps)
