"""The solver of :mod:`conjugate_gradients` for CPUs, in loops that numba compiles: the same equations and cycles.

An iteration with tensors goes through memory a hundred times; fused loops do so some twenty times, and with a few
systems at a time they stay in a core's own cache. A field is [h + 3, (w + 3)·S] with S systems (lanes) innermost and a
border of zeros, one place before and two behind, so that a row is one long vector and no pixel is special. In loops,
`i` is a row, `k` a place in it, and `n` = w·S the number of places inside the border.

A grid of the multigrid is an array of fields: four to work in and the operator's entries (diagonal, right, below, two
diagonals); that of the pixels has five more. Grids lie in a list from the pixels to the coarsest.

No sum depends on how many lanes there are or what lies in the others.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numba.typed import List
from numpy.typing import NDArray

from pellucid.errors import BadInput
from pellucid.metrics.faithfulness import conjugate_gradients
from pellucid.metrics.faithfulness.multigrid import RIDGE, level_sizes, visits_of
from pellucid.metrics.faithfulness.stencil import degrees

Field = NDArray[Any]

INVERSE, RESIDUAL, CORRECTION, LEFT, ENTRIES = range(5)
REMOVED, DEGREE, VALUES, DIRECTION, IMAGE = range(9, 14)
"""Where in a grid its fields are."""

TINY = 1e-35
TWO, HALF, QUARTER = np.float32(2), np.float32(0.5), np.float32(0.25)
STRONG, MILD = np.float32(0.55), np.float32(1 / 0.9)
"""Of 4 bytes: a Python number would turn the float32 loops into ones of float64."""

compiled: Callable[..., Any] = njit(nogil=True, cache=True, error_model="numpy")


class Systems(NamedTuple):
    """What to solve: the `chosen` of the images [B, C, H·W] and masks [B, H·W]; `out` takes what is imputed."""

    images: Field
    masks: Field
    chosen: Field
    out: Field


class Grids(NamedTuple):
    """What to solve it with: the grids, the coarsest one's factors, and the way of a cycle from grid to grid."""

    levels: Any
    factors: Field
    route: Field


class CompiledSolver:
    """Imputes float32 images of one size, up to `lanes` of them at a time."""

    def __init__(self, height: int, width: int, lanes: int) -> None:
        sizes = [(height, width), *level_sizes(height, width)]
        self.lanes = lanes
        self.levels = List(
            np.zeros((9 if level else 14, h + 3, (w + 3) * lanes), dtype=np.float32)
            for level, (h, w) in enumerate(sizes)
        )
        pixels = self.levels[0]
        degree = degrees(height, width).clamp_min(1).numpy().repeat(lanes, 1)
        pixels[DEGREE, 1 : height + 1, lanes : lanes * (width + 1)] = degree
        self.middle = np.zeros((5, self.levels[1].shape[1], pixels.shape[2]), dtype=np.float32)
        points = sizes[-1][0] * sizes[-1][1]
        factors, route = np.zeros((lanes, points, points)), np.array(_route(visits_of(sizes)))
        self.grids = Grids(self.levels, factors, route)

    def load(self, masks: NDArray[np.bool_], chosen: NDArray[np.int64]) -> None:
        """Take the `chosen` of the masks [B, H·W], at most `lanes`; lanes left over stay empty."""
        _load(masks, chosen, self.grids, self.middle, self.lanes)

    def solve(
        self,
        images: NDArray[np.float32],
        masks: NDArray[np.bool_],
        chosen: NDArray[np.int64],
        tolerance: float,
        out: NDArray[np.float32],
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Impute the `chosen` of the images [B, C, H·W] under their masks, which are loaded, into `out`.

        Returns
        -------
        tuple
            As in :meth:`conjugate_gradients.Solver.solve`: the largest residual of each, measured in float64 [n];
            whether no pixel is estimated to be off by more than `tolerance` times the image's scale, and no residual
            belies that [n].
        """
        systems = Systems(images, masks, chosen, out)
        worst, solved = _solve(systems, tolerance, conjugate_gradients.MOST_ITERATIONS, self.grids, self.lanes)
        if np.isnan(worst).any():
            raise BadInput(conjugate_gradients.NOT_FINITE)
        return worst, solved


def _route(visits: Sequence[int], level: int = 0) -> list[int]:
    """The grids in the order in which a cycle comes to them."""
    if level == len(visits) - 1:
        return [level]
    return [level] + visits[level] * [*_route(visits, level + 1), level]


@compiled
def _load(masks: Field, chosen: Field, grids: Grids, middle: Field, S: int) -> None:
    """The masks as 1 and 0, and what the cycles need of them on every grid."""
    levels = grids.levels
    _load_pixels(masks, chosen, levels[0], S)
    for level in range(1, len(levels)):
        _coarsen_rows(levels[level - 1][ENTRIES : ENTRIES + 5], middle, levels[level].shape[1] - 3, S)
        _coarsen_columns(middle, levels[level][ENTRIES : ENTRIES + 5], levels[level][INVERSE], S)
    _factorise(levels[-1][ENTRIES : ENTRIES + 5], grids.factors, S)


@compiled
def _solve(systems: Systems, tolerance: float, most: int, grids: Grids, S: int) -> tuple[Field, Field]:
    """See `CompiledSolver.solve`; the residual is NaN where a kept pixel is not finite."""
    pixels, n = grids.levels[0], len(systems.chosen)
    worst, solved = np.zeros(n), np.ones(n, dtype=np.bool_)
    for channel in range(systems.images.shape[1]):
        scale = _begin(systems, channel, pixels[REMOVED], pixels[VALUES], S)
        running = _iterate(tolerance, most, grids, S)
        defect = _defects(pixels[VALUES], pixels[REMOVED], pixels[DEGREE], S)
        finite = _finished(systems, channel, scale, pixels[VALUES], S)
        for lane in range(n):
            # The maxima skip NaN, so neither the estimate nor the residual would tell of one.
            close = defect[lane] <= 2 * tolerance  # an error below e leaves a residual below 2e
            solved[lane] &= close and finite[lane] and not running[lane]
            if np.isnan(scale[lane]):
                worst[lane] = np.nan
            elif defect[lane] * scale[lane] > worst[lane]:  # never of NaN, which stays
                worst[lane] = defect[lane] * scale[lane]
    return worst, solved


@compiled
def _iterate(target: float, most: int, grids: Grids, S: int) -> Field:
    """As `conjugate_gradients.Solver._iterate`: the lanes that are still running."""
    pixels = grids.levels[0]
    removed, degree, values = pixels[REMOVED], pixels[DEGREE], pixels[VALUES]
    direction, image, residual, left = pixels[DIRECTION], pixels[IMAGE], pixels[RESIDUAL], pixels[LEFT]
    running, previous, by = np.ones(S, dtype=np.bool_), np.ones(S), np.zeros(S)
    _times(values, removed, degree, image, S)
    _restart(image, residual, direction)
    for iteration in range(most):
        _cycle(grids, S)
        product, error = _compare(residual, left, S)
        for lane in range(S):
            by[lane] = 1 if running[lane] and error[lane] <= target else 0
            running[lane] &= by[lane] == 0
        _add(left, by, values, S)
        if not running.any():
            break
        for lane in range(S):
            by[lane] = product[lane] / previous[lane] if iteration else 0
        curvature = _turn(left, by, direction, removed, degree, image, S)
        for lane in range(S):
            by[lane] = product[lane] / max(curvature[lane], TINY) if running[lane] else 0
            previous[lane] = max(product[lane], TINY)
        _step(direction, image, by, values, residual, S)
    return running


@compiled
def _cycle(grids: Grids, S: int) -> None:
    """As `multigrid.Multigrid.__call__`; the correction of the pixels lies in their field `left`.

    By a list of grids to go to, because numba cannot keep a function that calls itself in its cache.
    """
    levels, route = grids.levels, grids.route
    for step in range(1, len(route)):
        here, there = route[step - 1], route[step]
        if here == 0:
            _pixels_down(levels[0], levels[1][RESIDUAL], S)
        elif here < there:
            _down(levels[here], levels[there][RESIDUAL], route[step - 2] < here, S)
        elif there > 0:
            _up(levels[here][CORRECTION], levels[there], S)
        else:
            _pixels_up(levels[1][CORRECTION], levels[0], S)
        if there == len(levels) - 1:
            _substitute(grids.factors, levels[there][RESIDUAL], levels[there][CORRECTION], S)


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
def _load_pixels(masks: Field, chosen: Field, grid: Field, S: int) -> None:
    """The masks as 1 and 0, and of the pixels the smoother and the operator's entries."""
    removed, degree, inverse, entries = grid[REMOVED], grid[DEGREE], grid[INVERSE], grid[ENTRIES : ENTRIES + 5]
    n = removed.shape[1] - 3 * S
    width = n // S
    for i in range(1, removed.shape[0] - 2):
        to, by, weight = _row(removed, i, S, n), _row(inverse, i, S, n), _row(degree, i, S, n)
        for k in range(n):
            to[k] = 0
        for lane in range(len(chosen)):
            mask = masks[chosen[lane], (i - 1) * width : i * width]
            for j in range(width):
                to[S * j + lane] = mask[j]
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
        for j in range(n // S):
            f, to = S * (2 * j + 1), S * (j + 1)  # the fine column that lies on the coarse one
            before, on, after = given[:, i, f - S : f], given[:, i, f : f + S], given[:, i, f + S : f + 2 * S]
            o = out[:, i, to : to + S]
            for lane in range(S):
                couplings = before[1, lane] + on[1, lane]
                o[0, lane] = on[0, lane] + QUARTER * (before[0, lane] + after[0, lane]) + couplings
                o[1, lane] = QUARTER * after[0, lane] + HALF * (on[1, lane] + after[1, lane])
                sides = (before[3, lane] + on[3, lane]) + (before[4, lane] + on[4, lane])
                o[2, lane] = on[2, lane] + QUARTER * (before[2, lane] + after[2, lane]) + HALF * sides
                o[3, lane] = QUARTER * after[2, lane] + HALF * (on[3, lane] + after[3, lane])
                o[4, lane] = QUARTER * after[2, lane] + HALF * (on[4, lane] + after[4, lane])
    for i in range(1, out.shape[1] - 2):
        d, r, b = _row(out[0], i, S, n), _row(out[1], i, S, n), _row(out[2], i, S, n)
        br, bl, by = _row(out[3], i, S, n), _row(out[4], i, S, n, -1), _row(inverse, i, S, n)
        away, up = _row(out[1], i, S, n, -1), _row(out[2], i - 1, S, n)
        up_left, up_right = _row(out[3], i - 1, S, n, -1), _row(out[4], i - 1, S, n)
        for k in range(n):
            sides = (abs(r[k]) + abs(away[k])) + (abs(b[k]) + abs(up[k]))
            corners = (abs(br[k]) + abs(up_left[k])) + (abs(bl[k]) + abs(up_right[k]))
            weight = max(STRONG * (d[k] + sides + corners), d[k] * MILD)
            by[k] = 1 / weight if d[k] > 0 else 0


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
def _pixels_down(grid: Field, below: Field, S: int) -> None:
    """A sweep from zero on the pixels; what it leaves becomes the residual of the grid below."""
    _start(grid[INVERSE], grid[RESIDUAL], grid[CORRECTION], S)
    _spread_out(grid[CORRECTION], grid[REMOVED], grid[LEFT], S)
    _restrict(grid[LEFT], below, S)


@compiled
def _pixels_up(below: Field, grid: Field, S: int) -> None:
    """Add the correction of the grid below, and sweep once more; the result goes to `left`."""
    _prolong(below, grid[CORRECTION], S)
    _last_sweep(grid[CORRECTION], grid[INVERSE], grid[RESIDUAL], grid[REMOVED], grid[LEFT], S)


@compiled
def _down(grid: Field, below: Field, first: bool, S: int) -> None:
    """The same on a coarser grid; a sweep on the first visit only."""
    if first:
        _start(grid[INVERSE], grid[RESIDUAL], grid[CORRECTION], S)
    _remainder(grid[ENTRIES : ENTRIES + 5], grid[CORRECTION], grid[RESIDUAL], grid[LEFT], S)
    _restrict(grid[LEFT], below, S)


@compiled
def _up(below: Field, grid: Field, S: int) -> None:
    """The same on a coarser grid."""
    _prolong(below, grid[CORRECTION], S)
    _remainder(grid[ENTRIES : ENTRIES + 5], grid[CORRECTION], grid[RESIDUAL], grid[LEFT], S)
    _sweep(grid[INVERSE], grid[LEFT], grid[CORRECTION], S)


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
    line = np.zeros(n + 3 * S, dtype=np.float32)
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
    line, wide = np.zeros((columns + 1) * S, dtype=np.float32), np.empty(2 * S * columns, dtype=np.float32)
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
    sums = np.zeros(n, dtype=np.float32)
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
    for j in range(0, len(sums), S):
        for lane in range(S):
            found[lane] += sums[j + lane]
    return found


@compiled
def _peaks(largest: Field, S: int) -> Field:
    """The largest number of each lane, float64 [S], from that of each column."""
    found = np.zeros(S)
    for j in range(0, len(largest), S):
        for lane in range(S):
            found[lane] = max(found[lane], largest[j + lane])
    return found


@compiled
def _compare(residual: Field, correction: Field, S: int) -> tuple[Field, Field]:
    """Of each lane [S], the scalar product of the two and the largest |correction|."""
    n = residual.shape[1] - 3 * S
    sums, largest = np.zeros(n, dtype=np.float32), np.zeros(n, dtype=np.float32)
    for i in range(1, residual.shape[0] - 2):
        one, other = _row(residual, i, S, n), _row(correction, i, S, n)
        for k in range(n):
            sums[k] += one[k] * other[k]
            largest[k] = max(largest[k], abs(other[k]))
    return _totals(sums, S), _peaks(largest, S)


@compiled
def _spread(by: Field, n: int) -> Field:
    """A number for each lane [S] → one for each of the n places in a row, of 4 bytes."""
    row, S = np.empty(n, dtype=np.float32), len(by)
    for j in range(0, n, S):
        for lane in range(S):
            row[j + lane] = by[lane]
    return row


@compiled
def _restart(image: Field, residual: Field, direction: Field) -> None:
    """The residual of a start whose `image` is given, and no direction yet."""
    for i in range(image.shape[0]):
        of, to, no = image[i], residual[i], direction[i]
        for k in range(len(of)):
            to[k] = -of[k]
            no[k] = 0


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
    n = direction.shape[1] - 3 * S
    spread = _spread(by, n)
    for i in range(1, direction.shape[0] - 2):
        along, changed = _row(direction, i, S, n), _row(image, i, S, n)
        value, left = _row(values, i, S, n), _row(residual, i, S, n)
        for k in range(n):
            value[k] += spread[k] * along[k]
            left[k] -= spread[k] * changed[k]


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
def _begin(systems: Systems, channel: int, removed: Field, values: Field, S: int) -> Any:
    """The kept pixels over a power of 2 near their largest, [S], and their mean at the removed ones.

    The power is NaN where a kept pixel is not finite.
    """
    scale = _read(systems, channel, values, S)
    n = values.shape[1] - 3 * S
    by, sums, kept = _spread(1 / scale, n), np.zeros(n), np.zeros(n)
    for i in range(1, values.shape[0] - 2):
        to, mask = _row(values, i, S, n), _row(removed, i, S, n)
        for k in range(n):
            to[k] *= by[k]
            sums[k] += to[k]
            kept[k] += 1 - mask[k]
    mean = _spread(_totals(sums, S) / _totals(kept, S), n)
    for i in range(1, values.shape[0] - 2):
        to, mask = _row(values, i, S, n), _row(removed, i, S, n)
        for k in range(n):
            to[k] += mask[k] * mean[k]
    return scale


@compiled
def _read(systems: Systems, channel: int, values: Field, S: int) -> Any:
    """The kept pixels as they are, 0 at the removed ones; and the power of 2, [S]."""
    images, masks, chosen, _ = systems
    n = values.shape[1] - 3 * S
    width = n // S
    largest, strange = np.zeros(n, dtype=np.float32), np.zeros(n, dtype=np.float32)
    for i in range(1, values.shape[0] - 2):
        to = _row(values, i, S, n)
        for k in range(n):
            to[k] = 0
        for lane in range(len(chosen)):
            b, first = chosen[lane], (i - 1) * width
            image, mask = images[b, channel, first : first + width], masks[b, first : first + width]
            for j in range(width):
                to[S * j + lane] = 0 if mask[j] else image[j]
        for k in range(n):
            largest[k] = max(largest[k], abs(to[k]))
            strange[k] += to[k] - to[k]  # 0, or NaN
    scale, finite = _peaks(largest, S), _totals(strange, S)
    for lane in range(S):
        scale[lane] = _power_above(scale[lane]) + finite[lane]
    return scale


@compiled
def _power_above(size: float) -> float:
    """The least power of 2 above it; 1 for 0."""
    return float(2.0 ** (np.floor(np.log2(size)) + 1)) if size > 0 else 1.0


@compiled
def _finished(systems: Systems, channel: int, scale: Field, values: Field, S: int) -> Any:
    """The images with the removed pixels imputed; of each, whether all of it is finite [n]."""
    images, masks, chosen, out = systems
    n = values.shape[1] - 3 * S
    width = n // S
    size, strange = _spread(scale, n), np.zeros(n, dtype=np.float32)
    for i in range(values.shape[0] - 3):
        row, first = _row(values, i + 1, S, n), i * width
        for k in range(n):
            row[k] *= size[k]
            strange[k] += row[k] - row[k]
        for lane in range(len(chosen)):
            b = chosen[lane]
            into = out[b, channel, first : first + width]
            image, mask = images[b, channel, first : first + width], masks[b, first : first + width]
            for j in range(width):
                into[j] = row[S * j + lane] if mask[j] else image[j]
    return _totals(strange, S) == 0


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
