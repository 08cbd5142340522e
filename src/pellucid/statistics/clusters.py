"""The bootstrap over participants: whoever is drawn brings all their answers, so that what depends stays together."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from pellucid.statistics.intervals import CONFIDENCE, RESAMPLES, Estimate, Floats, resample_counts


def cluster_bootstrap(
    statistic: Callable[[Floats], Floats],
    clusters: int,
    *,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """Percentile interval of a statistic of whole clusters (Davison and Hinkley 1997, §3.8).

    Parameters
    ----------
    statistic
        Takes weights [r, clusters], how often each cluster occurs in each of r resamples, and returns [r] numbers (NaN
        where undefined). Weights of 1 are the data themselves.
    clusters
        How many participants (or other independent units) there are.
    resamples, seed
        How many resamples are drawn, and from which seed: equal clusters and seed give equal resamples, so that
        statistics of the same participants are paired.

    Returns
    -------
    Estimate
        `n` is the number of clusters. NaN without any, and an interval of NaN with only one.
    """
    if clusters == 0:
        return Estimate(np.nan, np.nan, np.nan, 0)
    value = float(statistic(np.ones((1, clusters)))[0])
    if clusters == 1 or np.isnan(value):
        return Estimate(value, np.nan, np.nan, clusters)
    drawn = statistic(resample_counts(clusters, resamples, seed).astype(np.float64))
    if np.isnan(drawn).all():
        return Estimate(value, np.nan, np.nan, clusters)
    low, high = np.nanquantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Estimate(value, float(low), float(high), clusters)


def weighted_mean(values: npt.ArrayLike, weights: Floats) -> Floats:
    """Mean of values [n] under each row of weights [r, n]; NaN values carry no weight; NaN where none is left."""
    table = np.asarray(values, dtype=np.float64)
    known = ~np.isnan(table)
    return ratio(weights @ np.where(known, table, 0.0), weights @ known.astype(np.float64))


def ratio(above: Floats, below: Floats) -> Floats:
    """Quotient above / below, NaN where `below` is 0."""
    found = np.full(np.shape(above), np.nan)
    np.divide(above, below, out=found, where=below != 0)
    return found
