"""The solver of :mod:`conjugate_gradients` for CPUs, in loops that numba compiles: the same equations and cycles.

An iteration with tensors goes through memory a hundred times; fused loops do so some twenty times, and with a few
systems at a time they stay in a core's own cache. A field is [h + 3, (w + 3)·S] with S systems (lanes) innermost and a
border of zeros, one place before and two behind, so that a row is one long vector and no pixel is special. In loops,
`i` is a row, `k` a place in it, and `n` = w·S the number of places inside the border.

No sum depends on how many lanes there are or what lies in the others.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pellucid.errors import BadInput
from pellucid.metrics.faithfulness import conjugate_gradients
from pellucid.metrics.faithfulness.multigrid import RIDGE, level_sizes, visits_of
from pellucid.metrics.faithfulness.stencil import degrees

Field = NDArray[Any]

TINY = 1e-35
TWO, HALF, QUARTER = np.float32(2), np.float32(0.5), np.float32(0.25)
"""Of 4 bytes: a Python number would turn the float32 loops into ones of float64."""

compiled: Callable[..., Any] = njit(nogil=True, cache=True, error_model="numpy")


class Grid:
    """A level of the multigrid: its fields, and its operator as entries (diagonal, right, below, two diagonals)."""

    def __init__(self, height: int, width: int, lanes: int) -> None:
        shape = (height + 3, (width + 3) * lanes)
        self.inverse, self.residual, self.correction, self.left = np.zeros((4, *shape), dtype=np.float32)
        self.entries = np.zeros((5, *shape), dtype=np.float32)


class CompiledSolver:
    """Imputes float32 images of one size, up to `lanes` of them at a time."""

    def __init__(self, height: int, width: int, lanes: int) -> None:
        sizes = [(height, width), *level_sizes(height, width)]
        self.lanes = lanes
        self.visits = visits_of(sizes)
        self.grids = [Grid(*size, lanes) for size in sizes]
        self.pixels, self.coarsest = self.grids[0], self.grids[-1]
        self.middle = np.zeros((5, *self.grids[1].left.shape[:1], *self.pixels.left.shape[1:]), dtype=np.float32)
        points = sizes[-1][0] * sizes[-1][1]
        self.factors = np.zeros((lanes, points, points))
        fields = np.zeros((5, *self.pixels.left.shape), dtype=np.float32)
        self.removed, self.degree, self.values, self.direction, self.image = fields
        degree = degrees(height, width).clamp_min(1).numpy().repeat(lanes, 1)
        self.degree[1 : height + 1, lanes : lanes * (width + 1)] = degree

    def load(self, masks: NDArray[np.bool_]) -> None:
        """Take masks [n, H·W], n at most `lanes`; lanes left over stay empty."""
        _load(masks, self.removed, self.degree, self.pixels.inverse, self.pixels.entries, self.lanes)
        for fine, coarse in pairwise(self.grids):
            _coarsen_rows(fine.entries, self.middle, coarse.left.shape[0] - 3, self.lanes)
            _coarsen_columns(self.middle, coarse.entries, coarse.inverse, self.lanes)
        _factorise(self.coarsest.entries, self.factors, self.lanes)

    def solve(
        self, images: NDArray[np.float32], masks: NDArray[np.bool_], tolerance: float, out: NDArray[np.float32]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Impute one channel [n, H·W] of the images, under the masks loaded, into `out`.

        Returns
        -------
        tuple
            As in :meth:`conjugate_gradients.Solver.solve`: the largest residual of each, measured in float64 [n];
            whether no pixel is estimated to be off by more than `tolerance` times the image's scale, and no residual
            belies that [n].
        """
        scale = _begin(images, masks, self.values, self.lanes)
        if not np.isfinite(scale).all():
            raise BadInput(conjugate_gradients.NOT_FINITE)
        running = self._iterate(tolerance)
        defect = _defects(self.values, self.removed, self.degree, self.lanes)
        _finished(self.values, scale, images, masks, out, self.lanes)
        n = len(images)
        solved = ~running & (defect <= 2 * tolerance)  # an error below e leaves a residual below 2e
        # The kernels' maxima skip NaN, so neither the estimate nor the residual would tell of one.
        return (defect * scale)[:n], solved[:n] & np.isfinite(out).all(1)

    def _iterate(self, target: float) -> NDArray[np.bool_]:
        """As :meth:`conjugate_gradients.Solver._iterate`: the lanes that are still running."""
        pixels, S = self.pixels, self.lanes
        running, previous = np.ones(S, dtype=np.bool_), np.ones(S)
        _times(self.values, self.removed, self.degree, self.image, S)
        np.negative(self.image, out=pixels.residual)
        self.direction[:] = 0
        for iteration in range(conjugate_gradients.MOST_ITERATIONS):
            self._cycle(0)
            product, error = _compare(pixels.residual, pixels.left, S)
            arrived = running & (error <= target)
            running &= ~arrived
            if arrived.any():
                _add(pixels.left, arrived.astype(np.float32), self.values, S)
            if not running.any():
                break
            turn = (product / previous * (iteration > 0)).astype(np.float32)
            curvature = _turn(pixels.left, turn, self.direction, self.removed, self.degree, self.image, S)
            step = (running * product / np.maximum(curvature, TINY)).astype(np.float32)
            _step(self.direction, self.image, step, self.values, pixels.residual, S)
            previous = np.maximum(product, TINY)
        return running

    def _cycle(self, level: int) -> None:
        """As :meth:`multigrid.Multigrid.__call__`; the correction of the pixels lies in their field `left`."""
        grid, S = self.grids[level], self.lanes
        if grid is self.coarsest:
            _substitute(self.factors, grid.residual, grid.correction, S)
            return
        below = self.grids[level + 1]
        if level == 0:
            pixels = grid.inverse, grid.residual, self.removed, grid.correction, grid.left
            _pixels_down(*pixels, below.residual, S)
            self._cycle(1)
            _pixels_up(below.correction, *pixels, S)
            return
        points = grid.inverse, grid.residual, grid.entries, grid.correction, grid.left
        for visit in range(self.visits[level]):
            _down(*points, below.residual, visit == 0, S)
            self._cycle(level + 1)
            _up(below.correction, *points, S)


# Kernels. Those that Python calls are long enough that two threads seldom wait for each other to call one.


@compiled
def _row(field: Field, i: int, S: int, n: int, shift: int = 0) -> Any:
    """The n numbers inside the border of a row, or those `shift` columns further: loops then count from 0."""
    return field[i, S * (1 + shift) : S * (1 + shift) + n]


@compiled
def _around(x: Field, i: int, S: int, n: int, out: Field) -> None:
    """W x of a row: the weighted sum of each pixel's neighbours."""
    left, right = _row(x, i, S, n, -1), _row(x, i, S, n, 1)
    up, up_left, up_right = _row(x, i - 1, S, n), _row(x, i - 1, S, n, -1), _row(x, i - 1, S, n, 1)
    down, down_left, down_right = _row(x, i + 1, S, n), _row(x, i + 1, S, n, -1), _row(x, i + 1, S, n, 1)
    for k in range(n):
        beside = left[k] + right[k] + up[k] + down[k]
        out[k] = TWO * beside + (up_left[k] + up_right[k] + down_left[k] + down_right[k])


@compiled
def _load(masks: Field, removed: Field, degree: Field, inverse: Field, entries: Field, S: int) -> None:
    """The masks as 1 and 0, and of the pixels the smoother and the operator's entries."""
    n = removed.shape[1] - 3 * S
    width = n // S
    for i in range(1, removed.shape[0] - 2):
        to, by, weight = _row(removed, i, S, n), _row(inverse, i, S, n), _row(degree, i, S, n)
        for k in range(n):
            to[k] = 0
        for lane in range(len(masks)):
            mask = masks[lane, (i - 1) * width : i * width]
            for j in range(width):
                to[S * j + lane] = 1 if mask[j] else 0
        for k in range(n):
            by[k] = to[k] / weight[k]
    for i in range(1, removed.shape[0] - 2):
        here, there, weight = _row(removed, i, S, n), _row(removed, i, S, n, 1), _row(degree, i, S, n)
        under, beyond = _row(removed, i + 1, S, n), _row(removed, i + 1, S, n, 1)
        d, r, b = _row(entries[0], i, S, n), _row(entries[1], i, S, n), _row(entries[2], i, S, n)
        br, bl = _row(entries[3], i, S, n), _row(entries[4], i, S, n)
        for k in range(n):
            d[k] = here[k] * weight[k]
            r[k] = -TWO * here[k] * there[k]
            b[k] = -TWO * here[k] * under[k]
            br[k] = -here[k] * beyond[k]
            bl[k] = -there[k] * under[k]


@compiled
def _coarsen_rows(entries: Field, out: Field, rows: int, S: int) -> None:
    """Rows of the Galerkin product for linear interpolation: see `multigrid._coarsen_rows`."""
    n = entries.shape[2] - 3 * S
    for i in range(1, rows + 1):
        for field in range(5):
            for k in range(S + n, 3 * S + n):  # a larger grid may have left numbers there
                out[field, i, k] = 0
        _collect(entries[0], entries[2], entries[2], 2 * i - 1, S, n, _row(out[0], i, S, n))
        _collect(entries[1], entries[3], entries[4], 2 * i - 1, S, n, _row(out[1], i, S, n))
        _between(entries[0], entries[2], 2 * i - 1, S, n, _row(out[2], i, S, n))
        _between(entries[1], entries[3], 2 * i - 1, S, n, _row(out[3], i, S, n))
        _between(entries[1], entries[4], 2 * i - 1, S, n, _row(out[4], i, S, n))


@compiled
def _collect(own: Field, one: Field, other: Field, f: int, S: int, n: int, out: Field) -> None:
    """What belongs to a coarse row: fine row f, quarters of those beside it, and the couplings of the three."""
    above, on, under = _row(own, f - 1, S, n), _row(own, f, S, n), _row(own, f + 1, S, n)
    one_above, one_on = _row(one, f - 1, S, n), _row(one, f, S, n)
    other_above, other_on = _row(other, f - 1, S, n), _row(other, f, S, n)
    for k in range(n):
        couplings = (one_above[k] + one_on[k]) + (other_above[k] + other_on[k])
        out[k] = on[k] + QUARTER * (above[k] + under[k]) + HALF * couplings


@compiled
def _between(own: Field, coupling: Field, f: int, S: int, n: int, out: Field) -> None:
    """What couples a coarse row to the next: a quarter of the row between, and half its couplings to either."""
    under, one, other = _row(own, f + 1, S, n), _row(coupling, f, S, n), _row(coupling, f + 1, S, n)
    for k in range(n):
        out[k] = QUARTER * under[k] + HALF * (one[k] + other[k])


@compiled
def _coarsen_columns(given: Field, out: Field, inverse: Field, S: int) -> None:
    """The same for the columns of what the rows gave, where right and below change their roles; and the smoother.

    That is damped Jacobi: see `stencil.Coarse.load`.
    """
    n = out.shape[2] - 3 * S
    for i in range(1, out.shape[1] - 2):
        for k in range(S, S + n):
            f = 2 * k - k % S - S
            out[0, i, k] = given[0, i, f] + QUARTER * (given[0, i, f - S] + given[0, i, f + S])
            out[0, i, k] += given[1, i, f - S] + given[1, i, f]
            out[1, i, k] = QUARTER * given[0, i, f + S] + HALF * (given[1, i, f] + given[1, i, f + S])
            sides = given[3, i, f - S] + given[3, i, f] + given[4, i, f - S] + given[4, i, f]
            out[2, i, k] = given[2, i, f] + QUARTER * (given[2, i, f - S] + given[2, i, f + S]) + HALF * sides
            out[3, i, k] = QUARTER * given[2, i, f + S] + HALF * (given[3, i, f] + given[3, i, f + S])
            out[4, i, k] = QUARTER * given[2, i, f + S] + HALF * (given[4, i, f] + given[4, i, f + S])
    d, r, b, br, bl = out[0], out[1], out[2], out[3], out[4]
    for i in range(1, out.shape[1] - 2):
        for k in range(S, S + n):
            row = d[i, k] + abs(r[i, k]) + abs(r[i, k - S]) + abs(b[i, k]) + abs(b[i - 1, k])
            row += abs(br[i, k]) + abs(br[i - 1, k - S]) + abs(bl[i, k - S]) + abs(bl[i - 1, k])
            inverse[i, k] = 1 / max(0.55 * row, d[i, k] / 0.9) if d[i, k] > 0 else 0


@compiled
def _factorise(entries: Field, factors: Field, S: int) -> None:
    """Cholesky factors of the coarsest grid's operators [S, points, points], in float64, with a trace of ridge."""
    rows, columns = entries.shape[1] - 3, entries.shape[2] // S - 3
    for lane in range(S):
        factor = factors[lane]
        for p in range(len(factor)):
            for q in range(p + 1):
                factor[p, q] = 0
        for point in range(len(factor)):
            i, j = point // columns, point % columns
            k = S * (j + 1) + lane
            factor[point, point] = entries[0, i + 1, k] * RIDGE if entries[0, i + 1, k] > 0 else 1
            if j + 1 < columns:
                factor[point + 1, point] = entries[1, i + 1, k]
            if i + 1 < rows:
                factor[point + columns, point] = entries[2, i + 1, k]
            if i + 1 < rows and j + 1 < columns:
                factor[point + columns + 1, point] = entries[3, i + 1, k]
                factor[point + columns, point + 1] = entries[4, i + 1, k]
        _cholesky(factor)


@compiled
def _cholesky(matrix: Field) -> None:
    """The lower triangle of a matrix becomes its factor."""
    for p in range(len(matrix)):
        for q in range(p + 1):
            total = matrix[p, q]
            for k in range(q):
                total -= matrix[p, k] * matrix[q, k]
            matrix[p, q] = np.sqrt(total) if p == q else total / matrix[q, q]


@compiled
def _substitute(factors: Field, residual: Field, correction: Field, S: int) -> None:
    """Solve on the coarsest grid."""
    columns = residual.shape[1] // S - 3
    x = np.zeros(factors.shape[1])
    for lane in range(S):
        factor = factors[lane]
        for p in range(len(x)):
            total = np.float64(residual[p // columns + 1, S * (p % columns + 1) + lane])
            for q in range(p):
                total -= factor[p, q] * x[q]
            x[p] = total / factor[p, p]
        for p in range(len(x) - 1, -1, -1):
            x[p] /= factor[p, p]
            for q in range(p):
                x[q] -= factor[p, q] * x[p]
            correction[p // columns + 1, S * (p % columns + 1) + lane] = x[p]


@compiled
def _pixels_down(
    inverse: Field, residual: Field, removed: Field, correction: Field, left: Field, below: Field, S: int
) -> None:
    """A sweep from zero on the pixels; what it leaves becomes the residual of the grid below."""
    _start(inverse, residual, correction, S)
    _spread_out(correction, removed, left, S)
    _restrict(left, below, S)


@compiled
def _pixels_up(
    below: Field, inverse: Field, residual: Field, removed: Field, correction: Field, left: Field, S: int
) -> None:
    """Add the correction of the grid below, and sweep once more; the result goes to `left`."""
    _prolong(below, correction, S)
    _last_sweep(correction, inverse, residual, removed, left, S)


@compiled
def _down(
    inverse: Field, residual: Field, entries: Field, correction: Field, left: Field, below: Field, first: bool, S: int
) -> None:
    """The same on a coarser grid; a sweep on the first visit only."""
    if first:
        _start(inverse, residual, correction, S)
    _remainder(entries, correction, residual, left, S)
    _restrict(left, below, S)


@compiled
def _up(below: Field, inverse: Field, residual: Field, entries: Field, correction: Field, left: Field, S: int) -> None:
    """The same on a coarser grid."""
    _prolong(below, correction, S)
    _remainder(entries, correction, residual, left, S)
    _sweep(inverse, left, correction, S)


@compiled
def _start(inverse: Field, residual: Field, correction: Field, S: int) -> None:
    """One sweep from zero."""
    n = inverse.shape[1] - 3 * S
    for i in range(1, inverse.shape[0] - 2):
        to, by, of = _row(correction, i, S, n), _row(inverse, i, S, n), _row(residual, i, S, n)
        for k in range(n):
            to[k] = by[k] * of[k]


@compiled
def _sweep(inverse: Field, left: Field, correction: Field, S: int) -> None:
    """One more sweep, for what is left."""
    n = inverse.shape[1] - 3 * S
    for i in range(1, inverse.shape[0] - 2):
        to, by, of = _row(correction, i, S, n), _row(inverse, i, S, n), _row(left, i, S, n)
        for k in range(n):
            to[k] += by[k] * of[k]


@compiled
def _spread_out(correction: Field, removed: Field, left: Field, S: int) -> None:
    """What a sweep from zero leaves of the pixels' residual: r − A D⁻¹ r = W D⁻¹ r."""
    n = left.shape[1] - 3 * S
    for i in range(1, left.shape[0] - 2):
        to, mask = _row(left, i, S, n), _row(removed, i, S, n)
        _around(correction, i, S, n, to)
        for k in range(n):
            to[k] *= mask[k]


@compiled
def _last_sweep(correction: Field, inverse: Field, residual: Field, removed: Field, left: Field, S: int) -> None:
    """One more sweep on the pixels: D⁻¹ (r + W c), where the correction counts at removed pixels only."""
    n = left.shape[1] - 3 * S
    for i in range(1, left.shape[0] - 2):
        of, mask = _row(correction, i, S, n), _row(removed, i, S, n)
        for k in range(n):
            of[k] *= mask[k]
    for i in range(1, left.shape[0] - 2):
        to, by, of = _row(left, i, S, n), _row(inverse, i, S, n), _row(residual, i, S, n)
        _around(correction, i, S, n, to)
        for k in range(n):
            to[k] = by[k] * (of[k] + to[k])


@compiled
def _remainder(entries: Field, correction: Field, residual: Field, left: Field, S: int) -> None:
    """What the correction leaves of a coarse grid's residual."""
    n = left.shape[1] - 3 * S
    c = correction
    for i in range(1, left.shape[0] - 2):
        to, of = _row(left, i, S, n), _row(residual, i, S, n)
        me, before, after = _row(c, i, S, n), _row(c, i, S, n, -1), _row(c, i, S, n, 1)
        here, right, away = _row(entries[0], i, S, n), _row(entries[1], i, S, n), _row(entries[1], i, S, n, -1)
        for k in range(n):
            to[k] = of[k] - (here[k] * me[k] + right[k] * after[k] + away[k] * before[k])
        me, before, after = _row(c, i + 1, S, n), _row(c, i + 1, S, n, -1), _row(c, i + 1, S, n, 1)
        here, right, away = _row(entries[2], i, S, n), _row(entries[3], i, S, n), _row(entries[4], i, S, n, -1)
        for k in range(n):
            to[k] -= here[k] * me[k] + right[k] * after[k] + away[k] * before[k]
        me, before, after = _row(c, i - 1, S, n), _row(c, i - 1, S, n, -1), _row(c, i - 1, S, n, 1)
        here, right = _row(entries[2], i - 1, S, n), _row(entries[4], i - 1, S, n)
        away = _row(entries[3], i - 1, S, n, -1)
        for k in range(n):
            to[k] -= here[k] * me[k] + right[k] * after[k] + away[k] * before[k]


@compiled
def _restrict(left: Field, residual: Field, S: int) -> None:
    """A grid's residual: the transpose of linear interpolation, of what is left on the finer one."""
    n, columns = left.shape[1] - 3 * S, residual.shape[1] // S - 3
    line = np.zeros(n + 3 * S, dtype=left.dtype)
    inner = line[S : S + n]
    for i in range(1, residual.shape[0] - 2):
        above, on, under = _row(left, 2 * i - 2, S, n), _row(left, 2 * i - 1, S, n), _row(left, 2 * i, S, n)
        for k in range(n):
            inner[k] = on[k] + HALF * (above[k] + under[k])
        for j in range(columns):
            to, before = residual[i, S * (j + 1) : S * (j + 2)], line[2 * S * j : 2 * S * j + S]
            here, after = line[2 * S * j + S : 2 * S * j + 2 * S], line[2 * S * j + 2 * S : 2 * S * j + 3 * S]
            for lane in range(S):
                to[lane] = here[lane] + HALF * (before[lane] + after[lane])


@compiled
def _prolong(coarse: Field, correction: Field, S: int) -> None:
    """Add the coarser grid's correction, interpolated, to the finer one's."""
    n, columns = correction.shape[1] - 3 * S, coarse.shape[1] // S - 3
    line, wide = np.zeros((columns + 1) * S, dtype=coarse.dtype), np.empty(2 * S * columns, dtype=coarse.dtype)
    inner = line[: S * columns]
    for i in range(1, correction.shape[0] - 2):
        one = _row(coarse, (i + 1) // 2, S, S * columns)  # odd rows lie on coarse ones: both are the same
        other = _row(coarse, i // 2 + 1, S, S * columns)
        for k in range(S * columns):
            inner[k] = HALF * (one[k] + other[k])
        for j in range(columns):
            on, beside = wide[2 * S * j : 2 * S * j + S], wide[2 * S * j + S : 2 * S * (j + 1)]
            here, after = line[S * j : S * (j + 1)], line[S * (j + 1) : S * (j + 2)]
            for lane in range(S):
                on[lane] = here[lane]
                beside[lane] = HALF * (here[lane] + after[lane])
        to = _row(correction, i, S, n)
        for k in range(n):
            to[k] += wide[k]


@compiled
def _times(x: Field, removed: Field, degree: Field, image: Field, S: int) -> Any:
    """A x at the removed pixels, 0 elsewhere, into `image`; ⟨x, A x⟩ of each lane [S]."""
    n = x.shape[1] - 3 * S
    sums = np.zeros(n, dtype=x.dtype)
    for i in range(1, x.shape[0] - 2):
        to, of = _row(image, i, S, n), _row(x, i, S, n)
        mask, weight = _row(removed, i, S, n), _row(degree, i, S, n)
        _around(x, i, S, n, to)
        for k in range(n):
            to[k] = mask[k] * (weight[k] * of[k] - to[k])
            sums[k] += of[k] * to[k]
    return _totals(sums, S)


@compiled
def _totals(sums: Field, S: int) -> Field:
    """Sums of columns → sums of lanes, float64 [S]."""
    found = np.zeros(S)
    for k in range(len(sums)):
        found[k % S] += sums[k]
    return found


@compiled
def _peaks(largest: Field, S: int) -> Field:
    """The largest number of each lane, float64 [S], from that of each column."""
    found = np.zeros(S)
    for k in range(len(largest)):
        found[k % S] = max(found[k % S], largest[k])
    return found


@compiled
def _compare(residual: Field, correction: Field, S: int) -> tuple[Field, Field]:
    """Of each lane [S], the scalar product of the two and the largest |correction|."""
    n = residual.shape[1] - 3 * S
    sums, largest = np.zeros(n, dtype=residual.dtype), np.zeros(n, dtype=residual.dtype)
    for i in range(1, residual.shape[0] - 2):
        one, other = _row(residual, i, S, n), _row(correction, i, S, n)
        for k in range(n):
            sums[k] += one[k] * other[k]
            largest[k] = max(largest[k], abs(other[k]))
    return _totals(sums, S), _peaks(largest, S)


@compiled
def _spread(by: Field, n: int) -> Field:
    """A number for each lane [S] → one for each of the n places in a row."""
    row = np.empty(n, dtype=by.dtype)
    for k in range(n):
        row[k] = by[k % len(by)]
    return row


@compiled
def _add(x: Field, by: Field, out: Field, S: int) -> None:
    """Add by · x to `out`, with a number for each lane [S]."""
    n = x.shape[1] - 3 * S
    spread = _spread(by, n)
    for i in range(1, x.shape[0] - 2):
        to, of = _row(out, i, S, n), _row(x, i, S, n)
        for k in range(n):
            to[k] += spread[k] * of[k]


@compiled
def _step(direction: Field, image: Field, by: Field, values: Field, residual: Field, S: int) -> None:
    """Go along the direction, each lane as far as `by` says."""
    _add(direction, by, values, S)
    _add(image, -by, residual, S)


@compiled
def _turn(correction: Field, by: Field, direction: Field, removed: Field, degree: Field, image: Field, S: int) -> Any:
    """The next direction, correction + by · direction, and A of it; its curvature in each lane [S]."""
    n = direction.shape[1] - 3 * S
    spread = _spread(by, n)
    for i in range(1, direction.shape[0] - 2):
        to, of = _row(direction, i, S, n), _row(correction, i, S, n)
        for k in range(n):
            to[k] = of[k] + spread[k] * to[k]
    return _times(direction, removed, degree, image, S)


@compiled
def _begin(images: Field, masks: Field, values: Field, S: int) -> Field:
    """The kept pixels over a power of 2 near their largest, [S], and their mean at the removed ones.

    The power is NaN where a kept pixel is not finite.
    """
    width = values.shape[1] // S - 3
    scale, mean, by = np.ones(S), np.zeros(S, dtype=np.float32), np.zeros(S, dtype=np.float32)
    for lane in range(len(images)):
        image, mask = images[lane], masks[lane]
        total, count = 0.0, 0
        largest: Any = np.float32(0)
        for k in range(len(image)):
            kept: Any = np.float32(0) if mask[k] else image[k]
            largest, total, count = max(largest, abs(kept)), total + kept, count + (not mask[k])
        if largest > 0:
            scale[lane] = 2.0 ** (np.floor(np.log2(np.float64(largest))) + 1)
        if not np.isfinite(total):
            scale[lane] = np.nan
        mean[lane], by[lane] = total / count / scale[lane], 1 / scale[lane]
    for i in range(values.shape[0] - 3):  # row by row, which stays in the cache while the lanes come in
        row = _row(values, i + 1, S, S * width)
        for lane in range(S):
            if lane < len(images):
                image, mask = images[lane, i * width : (i + 1) * width], masks[lane, i * width : (i + 1) * width]
                for j in range(width):
                    row[S * j + lane] = mean[lane] if mask[j] else image[j] * by[lane]
            else:
                for j in range(width):
                    row[S * j + lane] = 0
    return scale


@compiled
def _finished(values: Field, scale: Field, images: Field, masks: Field, out: Field, S: int) -> None:
    """The images with the removed pixels imputed."""
    width = values.shape[1] // S - 3
    for i in range(values.shape[0] - 3):
        row = _row(values, i + 1, S, S * width)
        for lane in range(len(images)):
            image, mask = images[lane, i * width : (i + 1) * width], masks[lane, i * width : (i + 1) * width]
            into, size = out[lane, i * width : (i + 1) * width], np.float32(scale[lane])
            for j in range(width):
                into[j] = row[S * j + lane] * size if mask[j] else image[j]


@compiled
def _defects(values: Field, removed: Field, degree: Field, S: int) -> Any:
    """Largest |W v − s v| / 12 of a removed pixel of each lane [S], in float64."""
    n = values.shape[1] - 3 * S
    three, around, largest = np.empty((3, values.shape[1])), np.empty(n), np.zeros(n)
    for i in range(1, values.shape[0] - 2):
        for shift in range(3):
            to, of = three[shift], values[i - 1 + shift]
            for k in range(len(to)):
                to[k] = of[k]
        _around(three, 1, S, n, around)
        mask, weight, me = _row(removed, i, S, n), _row(degree, i, S, n), _row(three, 1, S, n)
        for k in range(n):
            largest[k] = max(largest[k], abs(around[k] - weight[k] * me[k]) * mask[k])
    return _peaks(largest, S) / 12
