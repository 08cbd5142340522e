"""Confidence intervals: Wilson for proportions, the percentile bootstrap over images, Student's t over seeds.

The percentile bootstrap is used because it commutes with monotone maps (the interval of a log10 is the log10 of the
interval) and because one set of resampled images serves every model, which makes differences between models paired.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import stats

from pellucid.errors import BadInput, unknown_name

Floats: TypeAlias = npt.NDArray[np.float64]
Counts: TypeAlias = npt.NDArray[np.uint16]
Statistic: TypeAlias = Callable[[Floats, Counts], Floats]

CONFIDENCE = 0.95
RESAMPLES = 2000
ROUNDING = 1e-9
"""Relative to the largest, what tells no two numbers apart."""
_CHUNK = 2_000_000  # entries of the resampling table that are held as float64 at a time


@dataclass(frozen=True)
class Estimate:
    """A number with its interval.

    Attributes
    ----------
    value, low, high
        The number and the ends of its interval, in the unit of the data; NaN where undefined.
    n
        How many values entered it (images, or seeds for :func:`student`).
    dropped
        How many values were NaN and left out.
    """

    value: float
    low: float
    high: float
    n: int
    dropped: int = 0

    def excludes(self, number: float) -> bool:
        """Whether `number` lies outside the interval; False where the interval is undefined."""
        return bool(number < self.low or number > self.high)


def wilson(successes: int, n: int, *, confidence: float = CONFIDENCE) -> Estimate:
    """The score interval of a proportion, in [0, 1] (Wilson 1927; Newcombe 1998, method 3).

    It stays inside [0, 1] and keeps its coverage near 0 and 1, where the normal interval fails. `n` = 0 gives NaN.

    Raises
    ------
    BadInput
        If `successes` does not lie in 0 … n.
    """
    if not 0 <= successes <= n:
        raise BadInput(f"a proportion needs 0 <= successes <= n; got {successes} of {n}")
    if n == 0:
        return Estimate(np.nan, np.nan, np.nan, 0)
    z = float(stats.norm.ppf((1 + confidence) / 2))
    share = successes / n
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    # Rounding can push an end past 0 or 1, or past the share itself, at 0 and n successes.
    low, high = float(centre - half), float(centre + half)
    return Estimate(share, max(0.0, min(low, share)), min(1.0, max(high, share)), n)


def bootstrap(
    values: npt.ArrayLike,
    *,
    statistic: str = "mean",
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """Percentile bootstrap over images (Efron 1979).

    Parameters
    ----------
    values
        [n], one number an image, NaN = undefined; or, for the mean only, [n, levels]: the statistic is then the mean
        over levels of the mean over images, so that a level with many undefined images weighs as much as the others.
    statistic
        "mean", "median", "log10_mean" (log10 of the mean) or "log10_median" (log10 of the median).
    resamples, seed
        How many resamples are drawn, and from which seed. Equal n and seed give equal resamples.

    Returns
    -------
    Estimate
        `n` counts the images with at least one number, `dropped` the others. NaN without an image, and an interval of
        NaN with only one.

    Raises
    ------
    BadInput
        For an unknown statistic.
    """
    table = np.asarray(values, dtype=np.float64)
    function = statistic_of(statistic)
    return _estimate(
        lambda counts: function(table, counts), known=_known(table), confidence=confidence, draws=(resamples, seed)
    )


def paired_difference(
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    *,
    statistic: str = "mean",
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """Percentile bootstrap of statistic(first) - statistic(second), where row i of both is the same image.

    An image undefined in either is dropped from both; with levels, an undefined entry is. Arguments and result
    otherwise as in :func:`bootstrap`.

    Raises
    ------
    BadInput
        For an unknown statistic, or if the two do not have the same shape.
    """
    one, two = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if one.shape != two.shape:
        raise BadInput(f"paired values must have one shape; got {one.shape} and {two.shape}")
    undefined = np.isnan(one) | np.isnan(two)
    one, two = np.where(undefined, np.nan, one), np.where(undefined, np.nan, two)
    function = statistic_of(statistic)
    return _estimate(
        lambda counts: function(one, counts) - function(two, counts),
        known=_known(one),
        confidence=confidence,
        draws=(resamples, seed),
    )


def student(values: npt.ArrayLike, *, confidence: float = CONFIDENCE) -> Estimate:
    """Student's t interval of a mean [n]: for few, roughly normal values such as one difference a seed.

    Equal values other than 0 say nothing of how they vary: a few coarse numbers, such as accuracies on 64 images, are
    equal by chance. Their interval is NaN, as is that of a single value.
    """
    table = np.asarray(values, dtype=np.float64)
    kept = table[~np.isnan(table)]
    n, dropped = len(kept), len(table) - len(kept)
    if n < 2 or (equal(kept) and kept.any()):
        return Estimate(float(kept.mean()) if n else np.nan, np.nan, np.nan, n, dropped)
    half = float(stats.t.ppf((1 + confidence) / 2, n - 1)) * float(kept.std(ddof=1)) / np.sqrt(n)
    mean = float(kept.mean())
    return Estimate(mean, float(mean - half), float(mean + half), n, dropped)


def equal(values: Floats) -> bool:
    """Whether values [n ≥ 1] are one number but for rounding: 0.1 + 0.2 and 0.3 are, and a t-test would tell them."""
    return bool(np.ptp(values) <= ROUNDING * np.abs(values).max())


def _estimate(
    compute: Callable[[Counts], Floats], *, known: npt.NDArray[np.bool_], confidence: float, draws: tuple[int, int]
) -> Estimate:
    """Point value from every image once, interval from the resamples."""
    n, dropped = int(known.sum()), int((~known).sum())
    if n == 0:
        return Estimate(np.nan, np.nan, np.nan, 0, dropped)
    value = float(compute(np.ones((1, len(known)), dtype=np.uint16))[0])
    if n == 1 or np.isnan(value):
        return Estimate(value, np.nan, np.nan, n, dropped)
    # Images without a number are resampled too (and then ignored): their share is as random as the numbers are.
    resampled = compute(resample_counts(len(known), *draws))
    low, high = np.nanquantile(resampled, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Estimate(value, float(low), float(high), n, dropped)


@lru_cache(maxsize=4)
def resample_counts(n: int, resamples: int, seed: int) -> Counts:
    """How often each of n images occurs in each resample: [resamples, n], rows sum to n."""
    generator = np.random.default_rng(seed)
    counts = np.empty((resamples, n), dtype=np.uint16)
    for row in counts:
        row[:] = np.bincount(generator.integers(n, size=n), minlength=n)
    counts.setflags(write=False)
    return counts


def _known(table: Floats) -> npt.NDArray[np.bool_]:
    """Which images have at least one number."""
    known = ~np.isnan(table)
    return np.asarray(known if table.ndim == 1 else known.any(axis=1), dtype=np.bool_)


def _mean(values: Floats, counts: Counts) -> Floats:
    means: Floats = column_means(values.reshape(len(values), -1), counts).mean(axis=1)
    return means


def column_means(values: Floats, counts: Counts) -> Floats:
    """Mean of each column of values [n, k] over the images of each resample: [resamples, k], NaN without a number."""
    known = ~np.isnan(values)
    complete = bool(known.all())
    filled = np.where(known, values, 0.0)
    present = known.astype(np.float64)
    rows = max(1, _CHUNK // len(values))
    parts = []
    for start in range(0, len(counts), rows):
        weights = counts[start : start + rows].astype(np.float64)
        with np.errstate(invalid="ignore"):  # a resample may hold no defined image of a level: NaN
            sizes = weights.sum(axis=1, keepdims=True) if complete else weights @ present
            parts.append((weights @ filled) / sizes)
    return np.concatenate(parts)


def _median(values: Floats, counts: Counts) -> Floats:
    """The exact median of each resample: the values at the two middle ranks of the sorted, repeated values."""
    if values.ndim != 1:
        raise BadInput("the median takes one number an image; take the mean of levels instead")
    order = np.argsort(values, kind="stable")[: int((~np.isnan(values)).sum())]  # NaN sorts last
    ranked = np.append(values[order], np.nan)  # NaN for a resample without any defined image
    rows = max(1, _CHUNK // max(1, len(order)))
    parts = []
    for start in range(0, len(counts), rows):
        reached = np.cumsum(counts[start : start + rows][:, order], axis=1, dtype=np.int32)
        size = reached[:, -1:]
        lower = (reached <= (size - 1) // 2).sum(axis=1)
        upper = (reached <= size // 2).sum(axis=1)
        parts.append((ranked[lower] + ranked[upper]) / 2)
    return np.concatenate(parts)


def _log10(numbers: Floats) -> Floats:
    """log10, NaN where there is none."""
    return np.log10(np.where(numbers > 0, numbers, np.nan))


_STATISTICS: dict[str, Statistic] = {
    "mean": _mean,
    "median": _median,
    "log10_mean": lambda values, counts: _log10(_mean(values, counts)),
    "log10_median": lambda values, counts: _log10(_median(values, counts)),
}


def statistic_of(name: str) -> Statistic:
    """(values [n] or [n, levels], counts [resamples, n]) -> [resamples]. Raises BadInput for an unknown name."""
    if name not in _STATISTICS:
        raise unknown_name("statistic", name, _STATISTICS)
    return _STATISTICS[name]


def aggregate(values: Floats, statistic: str = "mean") -> float:
    """The statistic of all images [n] (the mean also of [n, levels]), NaN where undefined; errors as above."""
    return float(statistic_of(statistic)(values, np.ones((1, len(values)), dtype=np.uint16))[0])
