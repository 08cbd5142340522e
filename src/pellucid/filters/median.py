"""The median filter of T3S, its M2."""

from collections.abc import Iterator
from itertools import product
from typing import Any

import torch
from torch import Tensor, maximum, minimum
from torch.autograd import Function
from torch.nn import functional

from pellucid.filters.checks import check_maps, check_size

Place = tuple[int, int]


def median(x: Tensor, *, size: int = 3) -> Tensor:
    """Replace each pixel by the median of its window, each channel on its own (T3S; definitions §1.1).

    The border is padded with **zeros**, as in the published code (the other filters reflect): at the corners of a 3×3
    window five of nine values are zeros, so the output there is 0. NaN anywhere in a window gives NaN.

    Parameters
    ----------
    x
        Maps [B, C, H, W], any floating point type, any range.
    size
        Width of the window in pixels, odd.

    Returns
    -------
    Tensor
        [B, C, H, W], one of the window's values each, in the units of `x`; differentiable any number of times. The
        gradient of an output goes to the pixel that is its median. Among equal values the zero padding comes first
        (no gradient: at a corner the output is 0 whatever the pixels are), then the first pixel in reading order,
        which is always a valid sub-gradient.

    Raises
    ------
    BadInput
        If `size` is even or below 1.
    """
    check_maps(x)
    check_size(size)
    if size == 1:
        return x
    filtered: Tensor = _Median.apply(x, size)
    return filtered


class _Median(Function):
    """Selects one value per window; piecewise linear, so the backward depends on the selection only."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, size: int) -> Tensor:
        padded = functional.pad(x, [size // 2] * 4)
        value = _median_of_nine(padded) if size == 3 else _median_of_windows(padded, size)
        ctx.size = size
        ctx.save_for_backward(padded, value)
        return value

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return _Scatter.apply(gradients[0], *ctx.saved_tensors, ctx.size), None


class _Scatter(Function):
    """Adds each output's number to the pixel that was its median."""

    @staticmethod
    def forward(ctx: Any, outputs: Tensor, padded: Tensor, value: Tensor, size: int) -> Tensor:
        ctx.size = size
        ctx.save_for_backward(padded, value)
        total = torch.zeros_like(padded)
        for place, chosen in _choices(padded, value, size):
            _window(total, place, value).addcmul_(outputs, chosen)
        return torch.empty_like(value).copy_(_window(total, (size // 2, size // 2), value))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        return _Gather.apply(gradients[0], *ctx.saved_tensors, ctx.size), None, None, None


class _Gather(Function):
    """Picks for each output the number of the pixel that was its median: the transpose of :class:`_Scatter`."""

    @staticmethod
    def forward(ctx: Any, pixels: Tensor, padded: Tensor, value: Tensor, size: int) -> Tensor:
        ctx.size = size
        ctx.save_for_backward(padded, value)
        surrounded = functional.pad(pixels, [size // 2] * 4)
        picked = torch.zeros_like(value)
        for place, chosen in _choices(padded, value, size):
            picked.addcmul_(_window(surrounded, place, value), chosen)
        return picked

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        return _Scatter.apply(gradients[0], *ctx.saved_tensors, ctx.size), None, None, None


def _window(padded: Tensor, place: Place, value: Tensor) -> Tensor:
    """What stands, for every output, at the same place (y, x) of its window."""
    strides = padded.stride()
    start = place[0] * strides[2] + place[1] * strides[3]  # of a tensor of its own, no view
    return padded.as_strided(value.shape, strides, start)  # one call instead of two slices: small maps feel it


def _choices(padded: Tensor, value: Tensor, size: int) -> Iterator[tuple[Place, Tensor]]:
    """For each place in the window: 1 for the outputs whose median stands there, else 0 (one buffer, overwritten)."""
    height, width, reach = *value.shape[2:], size // 2
    inside = value.new_zeros(height, width)
    inside[reach : height - reach, reach : width - reach] = 1
    # Where the window holds padding and the median is 0, the padding is the median.
    open_outputs = torch.empty_like(value).copy_(value).ne_(0)
    torch.maximum(open_outputs, inside, out=open_outputs)
    chosen = torch.empty_like(value)
    for place in product(range(size), range(size)):  # in reading order
        chosen.copy_(_window(padded, place, value)).eq_(value).mul_(open_outputs)
        open_outputs.sub_(chosen)
        yield place, chosen


def _median_of_windows(padded: Tensor, size: int) -> Tensor:
    """The median of every window of any odd size."""
    height, width = (length - size + 1 for length in padded.shape[-2:])
    like = padded[..., :height, :width]
    windows = [_window(padded, place, like) for place in product(range(size), range(size))]
    return torch.stack(windows).median(0).values


def _median_of_nine(padded: Tensor) -> Tensor:
    """The median of every 3×3 window: sort the columns, which neighbouring windows share, then combine three of them.

    The median of nine is the median of the largest low, the middle middle and the smallest high of its columns.
    """
    low, middle, high = _sort3(*_three(padded, 2))
    low_left, low_centre, low_right = _three(low, 3)
    high_left, high_centre, high_right = _three(high, 3)
    largest_low = maximum(maximum(low_left, low_centre), low_right)
    smallest_high = minimum(minimum(high_left, high_centre), high_right)
    return _median3(largest_low, _median3(*_three(middle, 3)), smallest_high)


def _three(x: Tensor, dim: int) -> tuple[Tensor, Tensor, Tensor]:
    """Of every window the first, second and third place along `dim`."""
    n = x.shape[dim] - 2
    return x.narrow(dim, 0, n), x.narrow(dim, 1, n), x.narrow(dim, 2, n)


def _sort3(a: Tensor, b: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    smaller, larger = minimum(a, b), maximum(a, b)
    inner = minimum(larger, c)
    return minimum(smaller, inner), maximum(smaller, inner), maximum(larger, c)


def _median3(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    return maximum(minimum(a, b), minimum(maximum(a, b), c))
