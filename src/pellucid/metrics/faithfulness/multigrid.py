"""Multigrid for the equation behind ROAD's imputation, for many masks at once.

A system's unknowns are its removed pixels. Each shall be the weighted mean of its neighbours inside the image
(definitions §4.4): s_i v_i − Σ_j w_ij v_j = 0 with s_i = Σ_j w_ij; kept pixels stay as they are. On the removed pixels
A = diag(s) − W is symmetric, and positive definite as soon as one pixel is kept.

The weights are in twelfths: 2 beside, above and below, 1 diagonally. Whole numbers are exact in every precision; 1/6
and 1/12 in float32 would shift A by 4e-8 everywhere, which a hole of 200 pixels amplifies to errors of 1e-3.

Every field is [H, W, S] with the S systems innermost: each step is then one long vector operation whatever the masks
look like, and no system can influence another. Buffers, and the views between which a step works, are made once and
refilled, because fresh memory and slicing cost more than the arithmetic.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

ALL, HEAD, TAIL = slice(None), slice(None, -1), slice(1, None)

COUPLINGS = (
    (2, (ALL, HEAD), (ALL, TAIL)),  # a pixel and the one to its right
    (2, (HEAD, ALL), (TAIL, ALL)),  # below
    (1, (HEAD, HEAD), (TAIL, TAIL)),  # below right
    (1, (HEAD, TAIL), (TAIL, HEAD)),  # below left
)
"""Weight and the two ends of every pair of neighbours: a field at [one] meets the field at [other]."""

Entries = Sequence[Tensor]
"""A symmetric nine-point operator: its diagonal [h, w, S] and one field of off-diagonal entries per coupling."""


def degrees(height: int, width: int) -> Tensor:
    """The s_i in twelfths: weight of all neighbours inside the image, [H, W] float64; 12 away from the border."""
    degree = torch.zeros(height, width, dtype=torch.float64)
    for weight, one, other in COUPLINGS:
        degree[one] += weight
        degree[other] += weight
    return degree


def folded(field: Tensor, dim: int) -> Tensor:
    """Sum along `dim`, by halves in place (a view of `field`, which is spent): no lane's sum depends on the others."""
    n = field.shape[dim]
    while n > 1:
        half = n // 2
        field.narrow(dim, 0, half).add_(field.narrow(dim, n - half, half))
        n -= half
    return field.select(dim, 0)


class Blur:
    """out = x filtered with [1, 2, 1] along both axes, zero outside: the separable form of W + 4."""

    def __init__(self, x: Tensor, pair: Tensor, half: Tensor, out: Tensor) -> None:
        """`pair`, `half` and `out` are overwritten by each call; `x` is read anew by each call."""
        self.out = out
        self.steps = [*_steps(x, 1, pair, half), *_steps(half, 0, pair, out)]

    def __call__(self) -> Tensor:
        """Filter what lies in `x` now."""
        for a, b, total in self.steps:
            torch.add(a, b, out=total)
        return self.out


def _steps(x: Tensor, dim: int, pair: Tensor, out: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Additions (a, b, a + b) that filter `x` with [1, 2, 1]: sums of neighbours first, then sums of those."""
    n = x.shape[dim]
    if n == 1:
        return [(x, x, out)]
    edge = pair.narrow(dim, 0, n - 1)
    return [
        (x.narrow(dim, 0, n - 1), x.narrow(dim, 1, n - 1), edge),
        (edge.narrow(dim, 0, n - 2), edge.narrow(dim, 1, n - 2), out.narrow(dim, 1, n - 2)),
        (x.narrow(dim, 0, 1), edge.narrow(dim, 0, 1), out.narrow(dim, 0, 1)),
        (x.narrow(dim, n - 1, 1), edge.narrow(dim, n - 2, 1), out.narrow(dim, n - 1, 1)),
    ]


class Fine:
    """The pixels themselves: A from the masks alone. Smoother: Jacobi, undamped (it divides short waves by 3)."""

    def __init__(self, like: Tensor) -> None:
        self.removed, self.diagonal, self.inverse = (torch.empty_like(like) for _ in range(3))
        self.residual, self.correction = (torch.empty_like(like) for _ in range(2))
        self.pair, self.half, self.left = (torch.empty_like(like) for _ in range(3))
        height, width, _ = like.shape
        self.degree = torch.empty_like(like).copy_(
            degrees(height, width)[..., None]
        )  # filled in: faster than broadcast
        self.blur_correction = self.blur(self.correction)

    def blur(self, x: Tensor) -> Blur:
        """A filter on `x` that borrows this level's buffers; its result lies in `left`."""
        return Blur(x, self.pair, self.half, self.left)

    def load(self, removed: Tensor) -> None:
        """Take new masks [H, W, S], 1 where a pixel is removed and 0 where it is kept."""
        self.removed.copy_(removed)
        torch.mul(removed, self.degree, out=self.diagonal).add_(removed, alpha=4)
        torch.div(removed, self.degree, out=self.inverse)

    def entries(self) -> Entries:
        """A as entries, in this level's buffers."""
        fields = (self.correction, self.pair, self.half, self.left)
        pairs = []
        for field, (weight, one, other) in zip(fields, COUPLINGS, strict=True):
            pairs.append(torch.mul(self.removed[one], self.removed[other], out=field[one]).mul_(-weight))
        return torch.mul(self.removed, self.degree, out=self.residual), *pairs

    def times(self, x: Tensor, blur: Blur) -> Tensor:
        """A x at the removed pixels, 0 elsewhere, in the buffer `pair`; `blur` is this level's filter on `x`."""
        around = blur()
        return torch.mul(self.diagonal, x, out=self.pair).addcmul_(self.removed, around, value=-1)

    def start(self) -> None:
        """One sweep from zero, and what it leaves: r − A D⁻¹ r = W D⁻¹ r."""
        torch.mul(self.inverse, self.residual, out=self.correction)
        self.blur_correction().add_(self.correction, alpha=-4).mul_(self.removed)

    def finish(self) -> None:
        """One more sweep: D⁻¹ (r + W c)."""
        around = self.blur_correction().add_(self.correction, alpha=-4)
        torch.add(self.residual, around, out=self.left)
        torch.mul(self.inverse, self.left, out=self.correction)


class Coarse:
    """A grid of every second point: a nine-point operator with entries of its own. Smoother: damped Jacobi."""

    def __init__(self, like: Tensor) -> None:
        self.inverse, self.residual, self.correction, self.left = (torch.empty_like(like) for _ in range(4))
        self.diagonal = torch.empty_like(like)
        self.pairs = [torch.empty_like(like[one]) for _, one, _ in COUPLINGS]
        self.terms = [(self.left, self.diagonal, self.correction)]
        for entry, (_, one, other) in zip(self.pairs, COUPLINGS, strict=True):
            self.terms += [(self.left[one], entry, self.correction[other])]
            self.terms += [(self.left[other], entry, self.correction[one])]

    def load(self) -> None:
        """Make the smoother from the entries, which the finer level has written.

        Damping 0.9 suits the regular stencil, but Jacobi diverges where several coarse points share one removed
        pixel; a weight of at least 0.55 of the row's absolute sum keeps every eigenvalue of D⁻¹A below 2.
        """
        row = self.left.copy_(self.diagonal)
        for entry, (_, one, other) in zip(self.pairs, COUPLINGS, strict=True):
            size = torch.abs(entry, out=self.correction[one])
            row[one] += size
            row[other] += size
        weight = torch.maximum(row.mul_(0.55), self.diagonal / 0.9, out=row)
        self.inverse.copy_(weight.reciprocal_().masked_fill_(self.diagonal <= 0, 0))

    def entries(self) -> Entries:
        """The operator's entries."""
        return self.diagonal, *self.pairs

    def remainder(self) -> None:
        """What the correction leaves of the residual."""
        self.left.copy_(self.residual)
        for left, entry, correction in self.terms:
            left.addcmul_(entry, correction, value=-1)

    def start(self) -> None:
        """One sweep from zero, and what it leaves."""
        torch.mul(self.inverse, self.residual, out=self.correction)
        self.remainder()

    def finish(self) -> None:
        """One more sweep."""
        self.remainder()
        self.correction.addcmul_(self.inverse, self.left)


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


class Multigrid:
    """One symmetric V-cycle as an approximate inverse of A: its eigenvalues on A lie close to 1 on every mask tried."""

    def __init__(self, like: Tensor) -> None:
        """`like`: an [H, W, S] field; its shape, dtype and device are those of every field given later."""
        height, width, lanes = like.shape
        self.fine = Fine(like)
        self.levels: list[Fine | Coarse] = [self.fine]
        self.transfers: list[Transfer] = []
        while True:
            height, width = height // 2 + 1, width // 2 + 1
            coarse = Coarse(like.new_empty(height, width, lanes))
            self.transfers.append(Transfer(self.levels[-1], coarse))
            self.levels.append(coarse)
            points = height * width
            if points**3 <= 10 * like[..., 0].numel() or max(height, width) <= 3:
                break  # inverting costs no more than a sweep
        self.coarsest = coarse
        self.inverse, self.work = (like.new_empty(points, points, lanes) for _ in range(2))
        # A plain V-cycle slackens on 224² images: a factor of 0.2 per iteration where two-grid cycles reach 0.07. Going
        # twice through the small grids below the third level mends it at little cost; smaller images do without.
        self.visits = [1] * len(self.levels)
        if len(self.levels) > 4 and self.levels[3].left[..., 0].numel() > 100:
            self.visits[3] = 2

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
        ridge = 1 + 100 * torch.finfo(diagonal.dtype).eps
        matrix[every, every] = torch.where(diagonal > 0, diagonal * ridge, 1).view(-1, lanes)
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
