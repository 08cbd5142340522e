"""Whether raters agree: Krippendorff's alpha for ordinal ratings."""

import numpy as np
import numpy.typing as npt

from pellucid.statistics.clusters import cluster_bootstrap, ratio
from pellucid.statistics.groups import histogram
from pellucid.statistics.intervals import CONFIDENCE, RESAMPLES, Estimate, Floats


def krippendorff_alpha(
    ratings: npt.ArrayLike, *, confidence: float = CONFIDENCE, resamples: int = RESAMPLES, seed: int = 0
) -> Estimate:
    """Krippendorff's alpha for ordinal data (Krippendorff 2011): 1 = perfect, 0 = as by chance, below = worse.

    Parameters
    ----------
    ratings
        [raters, units], NaN = not rated. Units with fewer than two ratings say nothing and are left out.

    Returns
    -------
    Estimate
        `n` counts the units. Its interval is a bootstrap over units (drawing raters with replacement would pair a
        rater with themselves). NaN where no unit has two ratings, or all ratings are equal.
    """
    table = np.asarray(ratings, dtype=np.float64).T
    table = table[(~np.isnan(table)).sum(axis=1) >= 2]
    levels = np.unique(table[~np.isnan(table)])
    counts = histogram(table, levels)
    raters = counts.sum(axis=1)
    pairs = counts[:, :, None] * (counts[:, None, :] - np.eye(len(levels)))
    coincidences = pairs / (raters[:, None, None] - 1)
    return cluster_bootstrap(
        lambda weights: _alpha(np.einsum("ru,ucd->rcd", weights, coincidences)),
        len(table),
        confidence=confidence,
        resamples=resamples,
        seed=seed,
    )


def _alpha(coincidences: Floats) -> Floats:
    """Alpha of coincidence matrices [r, levels, levels]; NaN where nothing varies."""
    n = coincidences.sum(axis=2)
    middle = np.cumsum(n, axis=1) - n / 2
    distance = np.square(middle[:, :, None] - middle[:, None, :])
    observed = (coincidences * distance).sum((1, 2)) * (n.sum(1) - 1)
    return 1 - ratio(observed, (n[:, :, None] * n[:, None, :] * distance).sum((1, 2)))
