"""Separable, symmetric, normalised filtering with a reflected border: what `gaussian` and `mean` have in common.

The filters run inside every step of every attack, so size 3, the size of the papers, has its own path: along an axis
the filter is a blend of each pixel with the mean of its two neighbours. Only elementwise operations are used, backward
too, so the result is deterministic on every device (the backward of PyTorch's reflection padding is not on CUDA).
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function


def separable(x: Tensor, taps_y: Sequence[float], taps_x: Sequence[float]) -> Tensor:
    """Filter along H with `taps_y` and along W with `taps_x`.

    Parameters
    ----------
    x
        Maps [B, C, H, W], any floating point type.
    taps_y, taps_x
        The weights from the centre outwards, w₀, w₁ … w_r (as many for both axes); w₀ + 2·Σw_k = 1.

    Returns
    -------
    Tensor
        [B, C, H, W] in the units of `x`. The border is reflected (edge pixel not repeated); an axis too short for that
        (no longer than r) is replicated instead (definitions §1.1).
    """
    if len(taps_y) == 1 or x.shape[2] == x.shape[3] == 1:
        return x
    if len(taps_y) == 2 and not torch.compiler.is_exporting():  # ONNX has no strided views
        filtered: Tensor = _Blend.apply(x, 2 * taps_y[1], 2 * taps_x[1], False)
        return filtered
    with torch.autocast(x.device.type, enabled=False):  # bfloat16 taps would no longer sum to 1
        return _axis_matrix(x, x.shape[2], taps_y) @ x @ _axis_matrix(x, x.shape[3], taps_x).T


class _Blend(Function):
    """The filter of size 3 as a linear operator; its backward is its transpose, whose backward is the filter again."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight_y: float, weight_x: float, transposed: bool) -> Tensor:
        ctx.weights, ctx.transposed = (weight_y, weight_x), transposed
        if not x.is_contiguous(memory_format=torch.channels_last):
            x = x.contiguous()  # one of the two dense layouts
        return _blend_axis(_blend_axis(x, weight_y, 2, transposed), weight_x, 3, transposed)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        return _Blend.apply(gradients[0], *ctx.weights, not ctx.transposed), None, None, None


def _blend_axis(x: Tensor, weight: float, dim: int, transposed: bool) -> Tensor:
    """(1 - weight)·x + weight·(mean of the two neighbours) along one axis, or the transpose of this operator."""
    last = x.shape[dim] - 1
    if last == 0:
        return x  # replicated border: the pixel is its own neighbour
    neighbours = torch.empty_like(x)
    # Flat memory is faster than slices of short rows. What crosses the end of a row is wrong, but lands on an edge.
    flat, step = x.as_strided((x.numel(),), (1,)), x.stride(dim)
    interior = neighbours.as_strided((x.numel(),), (1,))[step : x.numel() - step]
    torch.lerp(flat[: -2 * step], flat[2 * step :], 0.5, out=interior)
    edges = ((0, 1), (last, last - 1))
    for edge, inner in edges:  # reflected border: both neighbours of an edge pixel are the same inner pixel
        neighbours.select(dim, edge).copy_(x.select(dim, inner) * 0.5 if transposed else x.select(dim, inner))
    if transposed:
        for edge, inner in edges:
            neighbours.select(dim, inner).add_(x.select(dim, edge), alpha=0.5)
    return torch.lerp(x, neighbours, weight, out=neighbours)


def _axis_matrix(x: Tensor, length: int, taps: Sequence[float]) -> Tensor:
    """The filter along an axis as a matrix [length, length] in the type and on the device of `x`: for any size."""
    radius = len(taps) - 1
    source = torch.arange(length)[:, None] + torch.arange(-radius, radius + 1)
    if length > radius:
        source = (length - 1 - source.abs()).abs().sub(length - 1).abs()  # reflected at both ends
    weights = torch.tensor([*taps[:0:-1], *taps], dtype=torch.float64).expand(length, -1)
    matrix = torch.zeros(length, length, dtype=torch.float64)
    return matrix.scatter_add_(1, source.clamp(0, length - 1), weights).to(x)
