"""The median filter of T3S, its M2."""

from collections.abc import Iterator
from types import EllipsisType
from typing import Any

import torch
from torch import Tensor, maximum, minimum
from torch.autograd import Function
from torch.nn import functional

from pellucid.filters.checks import check_maps, check_size

Window = tuple[EllipsisType, slice, slice]


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
        for window, chosen in _choices(padded, value, size):
            total[window].addcmul_(outputs, chosen)
        radius = size // 2
        return torch.empty_like(value).copy_(total[..., radius:-radius, radius:-radius])

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
        for window, chosen in _choices(padded, value, size):
            picked.addcmul_(surrounded[window], chosen)
        return picked

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        return _Scatter.apply(gradients[0], *ctx.saved_tensors, ctx.size), None, None, None


def _windows(height: int, width: int, size: int) -> Iterator[Window]:
    """The slices of the padded maps that hold, for every output, the same place in its window; in reading order."""
    for y in range(size):
        for x in range(size):
            yield ..., slice(y, y + height), slice(x, x + width)


def _choices(padded: Tensor, value: Tensor, size: int) -> Iterator[tuple[Window, Tensor]]:
    """For each place in the window: 1 for the outputs whose median stands there, else 0 (one buffer, overwritten)."""
    open_outputs = torch.ones_like(value)
    for dim in (2, 3):  # where the window holds padding and the median is 0, the padding is the median
        length, reach = value.shape[dim], min(size // 2, value.shape[dim])
        for start in (0, length - reach):
            open_outputs.narrow(dim, start, reach).mul_(value.narrow(dim, start, reach) != 0)
    chosen = torch.empty_like(value)
    for window in _windows(value.shape[2], value.shape[3], size):
        chosen.copy_(padded[window]).eq_(value).mul_(open_outputs)
        open_outputs.sub_(chosen)
        yield window, chosen


def _median_of_windows(padded: Tensor, size: int) -> Tensor:
    """The median of every window of any odd size."""
    height, width = (length - size + 1 for length in padded.shape[-2:])
    return torch.stack([padded[window] for window in _windows(height, width, size)]).median(0).values


def _median_of_nine(padded: Tensor) -> Tensor:
    """The median of every 3×3 window: sort the columns, which neighbouring windows share, then combine three of them.

    The median of nine is the median of the largest low, the middle middle and the smallest high of its columns.
    """
    low, middle, high = _sort3(padded[..., :-2, :], padded[..., 1:-1, :], padded[..., 2:, :])
    low_left, low_centre, low_right = _columns(low)
    high_left, high_centre, high_right = _columns(high)
    largest_low = maximum(maximum(low_left, low_centre), low_right)
    smallest_high = minimum(minimum(high_left, high_centre), high_right)
    return _median3(largest_low, _median3(*_columns(middle)), smallest_high)


def _columns(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return x[..., :-2], x[..., 1:-1], x[..., 2:]


def _sort3(a: Tensor, b: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    smaller, larger = minimum(a, b), maximum(a, b)
    inner = minimum(larger, c)
    return minimum(smaller, inner), maximum(smaller, inner), maximum(larger, c)


def _median3(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    return maximum(minimum(a, b), minimum(maximum(a, b), c))
