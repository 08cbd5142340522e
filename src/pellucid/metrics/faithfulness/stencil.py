"""The equation behind ROAD's imputation, as an operator on pixels and on coarser grids, for many masks at once.

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
        degree = degrees(height, width).clamp_min(1)[..., None]  # an image of one pixel has no neighbours
        self.degree = torch.empty_like(like).copy_(degree)  # written out, because broadcasting is slower
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
