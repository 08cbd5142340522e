"""What the attacks on an explanation look at: the normalised gradient map, its top-k set, its centre of mass."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from pellucid.errors import BadInput
from pellucid.gradients import input_gradient, logit_of
from pellucid.types import Image, Labels, Saliency


class Explained(NamedTuple):
    """Logits [B, K] and saliency maps [B, 1, H, W] of one and the same pass."""

    logits: Tensor
    saliency: Saliency


def explained(model: nn.Module, x: Image, y: Labels, *, create_graph: bool = False) -> Explained:
    """Logits and S(x) = HW·Σ_c|∂z_y/∂x_c| / Σ_pixels, which has the mean 1 (definitions §4.7); 0 for a zero gradient.

    One forward and one backward pass; with `create_graph` the maps can be differentiated with respect to `x`.
    """
    logits, gradient = input_gradient(model, x, logit_of(y), create_graph=create_graph)
    size = gradient.abs().sum(1, keepdim=True)
    peak = size.detach().amax((1, 2, 3), keepdim=True)
    size = size / torch.where(peak > 0, peak, 1.0)  # squares of tiny sums in the derivative of S would underflow
    total = size.sum((1, 2, 3), keepdim=True)
    return Explained(logits, size * (size[0].numel() / torch.where(total > 0, total, 1.0)))


def top_set(maps: Tensor, k: int) -> Tensor:
    """The `k` largest entries of each map as bool [B, d]; of equal entries those that come first (row by row).

    Raises
    ------
    BadInput
        If a map has not got `k` entries.
    """
    rows = maps.flatten(1)
    if not 1 <= k <= rows.shape[1]:
        raise BadInput(f"k must lie in 1 … {rows.shape[1]}, the number of pixels of a map; got {k}")
    least = rows.topk(k, dim=1, sorted=False).values.amin(1, keepdim=True)
    above, level = rows > least, rows == least
    return above | (level & (level.cumsum(1) <= k - above.sum(1, keepdim=True)))


def overlap(a: Tensor, b: Tensor, k: int) -> Tensor:
    """|T ∩ T'| / k of the top-k sets of two maps: float64 [B] in [0, 1], NaN where :func:`varies` is not."""
    common = (top_set(a, k) & top_set(b, k)).sum(1)
    return torch.where(varies(a) & varies(b), common.double() / k, torch.nan)


def mass_centre_of(maps: Tensor) -> Tensor:
    """C = Σ S·(row, column) / Σ S of maps [B, 1, H, W] ≥ 0, in pixels: [B, 2], and (0, 0) for a map of zeros."""
    total = maps.sum((1, 2, 3))
    rows, columns = (torch.arange(side).to(maps) for side in maps.shape[2:])
    moments = torch.stack([(maps.sum((1, 3)) * rows).sum(1), (maps.sum((1, 2)) * columns).sum(1)], 1)
    return moments / torch.where(total > 0, total, 1.0)[:, None]


def varies(maps: Tensor) -> Tensor:
    """Whether a map is finite and not constant: bool [B]. Any other map has no top-k set, no ranks and no place."""
    low, high = maps.flatten(1).aminmax(dim=1)
    return (low < high) & low.isfinite() & high.isfinite()
