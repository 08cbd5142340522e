"""Means over seeds of a statistic over images, with intervals that speak of new seeds *and* new images.

Every model is measured on the same images, so seeds and images are crossed: both are resampled, the images alike for
all seeds (the pigeonhole bootstrap: McCullagh 2000; Owen 2007). A mean over resampled seeds has a variance in closed
form given the images, so only images are drawn.

The interval is Student's with the bootstrap's standard error and Satterthwaite's degrees of freedom, not a percentile
or BCa interval: those cannot leave the range of the S seeds, so they miss the truth with a probability of at least
2^(1-S), a quarter for three seeds (on the bootstrap's narrowness in small samples: Hesterberg 2015).
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import stats

from pellucid.errors import BadInput
from pellucid.statistics.intervals import (
    CONFIDENCE,
    RESAMPLES,
    Counts,
    Estimate,
    Floats,
    aggregate,
    column_means,
    resample_counts,
    statistic_of,
)


def hierarchical(
    values: npt.ArrayLike,
    *,
    statistic: str = "mean",
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """Mean over seeds of a statistic over images, with its interval over both.

    Parameters
    ----------
    values
        [seeds, images], NaN = undefined, or for the mean only [seeds, images, levels]. Column i is one image.
    statistic
        As in :func:`pellucid.statistics.bootstrap`, taken over the images of each seed.
    resamples, seed
        How many resamples of the images are drawn, and from which seed.

    Returns
    -------
    Estimate
        `n` counts the seeds with a number, `dropped` the others. The ends are NaN below two seeds.

    Raises
    ------
    BadInput
        For an unknown statistic, or values without a seed and an image axis.
    """
    table = _checked(values)
    points = np.array([aggregate(one, statistic) for one in table])
    counts = resample_counts(table.shape[1], resamples, seed)
    return _estimate(points, lambda: _resampled(table, statistic, counts), table.shape[1], confidence)


def hierarchical_difference(
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    *,
    statistic: str = "mean",
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """Mean over seeds of statistic(first) - statistic(second), where rows share a seed and columns an image.

    An image undefined in one of a pair is dropped from both. Arguments and result otherwise as in :func:`hierarchical`.

    Raises
    ------
    BadInput
        As there, or if the two do not have the same shape.
    """
    one, two = _checked(first), _checked(second)
    if one.shape != two.shape:
        raise BadInput(f"paired values must have one shape; got {one.shape} and {two.shape}")
    undefined = np.isnan(one) | np.isnan(two)
    one, two = np.where(undefined, np.nan, one), np.where(undefined, np.nan, two)
    points = np.array([aggregate(a, statistic) - aggregate(b, statistic) for a, b in zip(one, two, strict=True)])
    counts = resample_counts(one.shape[1], resamples, seed)

    def resampled() -> Floats:
        return _resampled(one, statistic, counts) - _resampled(two, statistic, counts)

    return _estimate(points, resampled, one.shape[1], confidence)


def _resampled(table: Floats, statistic: str, counts: Counts) -> Floats:
    """The statistic of each seed in each resample of the images: [resamples, seeds]."""
    if statistic != "mean":
        return np.stack([statistic_of(statistic)(values, counts) for values in table], axis=1)
    seeds, images = table.shape[:2]  # all seeds in one product: by far the most common case
    levels = column_means(np.moveaxis(table, 1, 0).reshape(images, -1), counts)
    means: Floats = levels.reshape(len(counts), seeds, -1).mean(axis=2)
    return means


def _checked(values: npt.ArrayLike) -> Floats:
    table = np.asarray(values, dtype=np.float64)
    if table.ndim not in (2, 3) or 0 in table.shape:
        raise BadInput(f"values must be [seeds, images] or [seeds, images, levels], none of them 0; got {table.shape}")
    return table


def _estimate(points: Floats, resampled: Callable[[], Floats], images: int, confidence: float) -> Estimate:
    """The mean of `points` [seeds] with Student's interval around it, from [resamples, seeds]."""
    known = np.flatnonzero(~np.isnan(points))
    seeds, dropped = len(known), len(points) - len(known)
    value = float(points[known].mean()) if seeds else np.nan
    if seeds < 2:
        return Estimate(value, np.nan, np.nan, seeds, dropped)
    error, freedom = _standard_error(resampled()[:, known], images)
    half = float(stats.t.ppf((1 + confidence) / 2, freedom)) * error
    return Estimate(value, value - half, value + half, seeds, dropped)


def _standard_error(table: Floats, images: int) -> tuple[float, float]:
    """Standard error of the mean over seeds and its degrees of freedom (Satterthwaite 1946), from [resamples, seeds].

    The law of total variance over resampled images b and seeds: Var_b(mean over seeds) + E_b(variance over seeds) / S,
    the latter without the bias by (S - 1)/S that resampling S seeds would have.
    """
    table = table[~np.isnan(table).any(axis=1)]  # a resample can miss all the images that are defined
    if len(table) < 2:
        return np.nan, 1.0
    seeds = table.shape[1]
    over_images, over_seeds = float(table.mean(axis=1).var()), float(table.var(axis=1, ddof=1).mean()) / seeds
    total = over_images + over_seeds
    if total == 0:
        return 0.0, seeds - 1.0
    return total**0.5, total**2 / (over_seeds**2 / (seeds - 1) + over_images**2 / max(images - 1, 1))
