"""Multigrid: an approximate inverse of the operator in :mod:`stencil`, for many masks at once."""

from collections.abc import Sequence

import torch
from torch import Tensor

from pellucid.metrics.faithfulness.stencil import COUPLINGS, Coarse, Entries, Fine, folded

RIDGE = 1 + 1e-5
"""On the diagonal of the coarsest grid: masks may leave its points linearly dependent."""


class Transfer:
    """Between a level and the next coarser one, whose points are every second point of the finer grid and one beyond.

    Upwards: linear interpolation in each direction, then 0 at kept pixels. Downwards: its transpose. The coarser
    operator is the Galerkin product of the two around the finer one, so the whole is symmetric and knows the masks.
    """

    def __init__(self, fine: Fine | Coarse, coarse: Coarse) -> None:
        self.fine, self.coarse = fine, coarse
        height, width, _ = fine.left.shape
        rows, odd_rows, odd_columns = height // 2 + 1, height // 2, width // 2
        middle = fine.left.new_empty(rows, *fine.left.shape[1:])  # coarse in rows, fine in columns
        self.down = [*_restriction(fine.left, 0, middle), *_restriction(middle, 1, coarse.residual)]
        points = coarse.correction
        self.across = (middle[:, ::2], points[:, : (width + 1) // 2], middle[:, 1::2])
        self.between_columns = (points[:, :odd_columns], points[:, 1 : odd_columns + 1])
        self.between_rows = (middle[:odd_rows], middle[1 : odd_rows + 1], fine.left[:odd_rows])
        self.even = (fine.correction[::2], middle[: (height + 1) // 2])
        self.odd = (fine.correction[1::2], fine.left[:odd_rows])
        self.masks = (fine.removed[::2], fine.removed[1::2]) if isinstance(fine, Fine) else None
        shapes = [(rows, width), (rows, width - 1), (rows - 1, width), (rows - 1, width - 1), (rows - 1, width - 1)]
        self.middle = [middle.new_empty(*shape, middle.shape[2]) for shape in shapes]

    def restrict(self) -> None:
        """Bring what is left on the finer level down as the coarser one's residual."""
        for out, source, weight in self.down:
            if weight == 1:
                out.copy_(source)
            else:
                out.add_(source, alpha=weight)

    def prolong(self) -> None:
        """Add the coarser level's correction, interpolated, to the finer one's."""
        even_columns, points, odd_columns = self.across
        even_columns.copy_(points)
        torch.add(*self.between_columns, out=odd_columns).mul_(0.5)
        one, other, total = self.between_rows
        torch.add(one, other, out=total)
        if self.masks is None:
            self.even[0].add_(self.even[1])
            self.odd[0].add_(self.odd[1], alpha=0.5)
        else:
            self.even[0].addcmul_(self.even[1], self.masks[0])
            self.odd[0].addcmul_(self.odd[1], self.masks[1], value=0.5)

    def galerkin(self) -> None:
        """Write the coarser level's entries: coarsen the rows, then, with the axes' roles exchanged, the columns."""
        _coarsen_rows(self.fine.entries(), self.middle)
        _coarsen_rows(_turned(self.middle), _turned(self.coarse.entries()))
        self.coarse.load()


def _restriction(source: Tensor, dim: int, out: Tensor) -> list[tuple[Tensor, Tensor, float]]:
    """Steps (out, source, weight) of the transpose of linear interpolation along `dim`; weight 1 means a copy."""
    n = source.shape[dim]
    even = source[::2] if dim == 0 else source[:, ::2]
    odd = source[1::2] if dim == 0 else source[:, 1::2]
    steps = [(out.narrow(dim, 0, (n + 1) // 2), even, 1.0)]
    if n % 2 == 0:  # the last coarse point lies beyond the grid and has only a neighbour on it
        steps.append((out.narrow(dim, n // 2, 1), torch.zeros_like(out.narrow(dim, n // 2, 1)), 1.0))
    return [*steps, *((out.narrow(dim, shift, n // 2), odd, 0.5) for shift in (0, 1))]


def _coarsen_rows(entries: Entries, out: Entries) -> None:
    """Galerkin product for linear interpolation between rows: rows 2i and 2i ± 1 become coarse row i.

    Row 2i + 1 belongs by halves to coarse rows i and i + 1. Per diagonal of the operator along a row, the coarse entry
    within row i collects x(2i) + (x(2i−1) + x(2i+1)) / 4 and the couplings between these rows; the entry between rows
    i and i + 1 collects x(2i+1) / 4 and half the couplings from 2i+1 to 2i and to 2i+2.
    """
    diagonal, right, below, below_right, below_left = entries
    _coarse_within(diagonal, [(below, 1.0)], out[0])
    _coarse_within(right, [(below_right, 0.5), (below_left, 0.5)], out[1])
    for own, coupling, between in ((diagonal, below, 2), (right, below_right, 3), (right, below_left, 4)):
        torch.mul(own[1::2], 0.25, out=out[between]).add_(coupling[::2], alpha=0.5)
        out[between][: coupling[1::2].shape[0]].add_(coupling[1::2], alpha=0.5)


def _coarse_within(own: Tensor, couplings: Sequence[tuple[Tensor, float]], out: Tensor) -> None:
    """The part of :func:`_coarsen_rows` within a coarse row."""
    odd = own[1::2]
    out.zero_()[: (own.shape[0] + 1) // 2].copy_(own[::2])
    out[: odd.shape[0]].add_(odd, alpha=0.25)
    out[1 : odd.shape[0] + 1].add_(odd, alpha=0.25)
    for coupling, weight in couplings:
        after, before = coupling[::2], coupling[1::2]
        out[: after.shape[0]].add_(after, alpha=weight)
        out[1 : before.shape[0] + 1].add_(before, alpha=weight)


def _turned(entries: Entries) -> Entries:
    """The same operator with rows and columns exchanged; a below-left pair is merely seen from its other end."""
    diagonal, right, below, below_right, below_left = (entry.transpose(0, 1) for entry in entries)
    return diagonal, below, right, below_right, below_left


def level_sizes(height: int, width: int) -> list[tuple[int, int]]:
    """(H, W) of the grids below an image's pixels, down to one that is solved at no more than the cost of a sweep."""
    sizes = [(height // 2 + 1, width // 2 + 1)]
    while (sizes[-1][0] * sizes[-1][1]) ** 3 > 10 * height * width and max(sizes[-1]) > 3:
        sizes.append((sizes[-1][0] // 2 + 1, sizes[-1][1] // 2 + 1))
    return sizes


def visits_of(sizes: Sequence[tuple[int, int]]) -> list[int]:
    """How often a cycle goes below each of the grids.

    A plain V-cycle slackens on 224² images: a factor of 0.2 per iteration where two-grid cycles reach 0.07. Going twice
    through the small grids below the third level mends it at little cost; smaller images do without.
    """
    return [2 if level == 3 and len(sizes) > 4 and h * w > 100 else 1 for level, (h, w) in enumerate(sizes)]


class Multigrid:
    """One symmetric V-cycle as an approximate inverse of A: its eigenvalues on A lie close to 1 on every mask tried."""

    def __init__(self, like: Tensor) -> None:
        """`like`: an [H, W, S] field; its shape, dtype and device are those of every field given later."""
        height, width, lanes = like.shape
        self.fine = Fine(like)
        self.levels: list[Fine | Coarse] = [self.fine]
        self.transfers: list[Transfer] = []
        for size in level_sizes(height, width):
            coarse = Coarse(like.new_empty(*size, lanes))
            self.transfers.append(Transfer(self.levels[-1], coarse))
            self.levels.append(coarse)
        self.coarsest = coarse
        points = coarse.left[..., 0].numel()
        self.inverse, self.work = (like.new_empty(points, points, lanes) for _ in range(2))
        self.visits = visits_of([(height, width), *level_sizes(height, width)])

    def load(self, removed: Tensor) -> None:
        """Take new masks [H, W, S], 1 where a pixel is removed."""
        self.fine.load(removed)
        for transfer in self.transfers:
            transfer.galerkin()
        self._invert_coarsest()

    def _invert_coarsest(self) -> None:
        """Gauss–Jordan on all systems at once. A trace of ridge: masks may leave coarse points linearly dependent."""
        diagonal, *pairs = self.coarsest.entries()
        height, width, lanes = diagonal.shape
        index = torch.arange(height * width, device=diagonal.device).view(height, width)
        every = index.flatten()
        matrix, inverse = self.work.zero_(), self.inverse.zero_()
        matrix[every, every] = torch.where(diagonal > 0, diagonal * RIDGE, 1).view(-1, lanes)
        inverse[every, every] = 1
        for entry, (_, one, other) in zip(pairs, COUPLINGS, strict=True):
            i, j = index[one].flatten(), index[other].flatten()
            matrix[i, j] = entry.reshape(-1, lanes)
            matrix[j, i] = entry.reshape(-1, lanes)
        for k in range(len(every)):
            scale = matrix[k, k].reciprocal()
            row, inverse_row = matrix[k] * scale, inverse[k] * scale
            column = matrix[:, k : k + 1].clone()
            column[k] = 0
            matrix.addcmul_(column, row, value=-1)
            inverse.addcmul_(column, inverse_row, value=-1)
            matrix[k], inverse[k] = row, inverse_row

    def __call__(self, level: int = 0) -> Tensor:
        """Correction [H, W, S] for the residual in `fine.residual`; overwritten by the next call."""
        grid = self.levels[level]
        if grid is self.coarsest:
            torch.mul(self.inverse, grid.residual.flatten(0, 1), out=self.work)
            grid.correction.flatten(0, 1).copy_(folded(self.work, 1))
            return grid.correction
        grid.start()
        for visit in range(self.visits[level]):
            if visit and isinstance(grid, Coarse):
                grid.remainder()
            self.transfers[level].restrict()
            self(level + 1)
            self.transfers[level].prolong()
            grid.finish()
        return grid.correction
