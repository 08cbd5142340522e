"""Differences between several groups of numbers: one-way analysis of variance, Friedman's test, Cliff's delta."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from pellucid.errors import BadInput
from pellucid.statistics.clusters import ratio
from pellucid.statistics.intervals import Floats


@dataclass(frozen=True)
class Anova:
    """F with its degrees of freedom and p; F and p are NaN where the groups have no spread or too few numbers."""

    f: float
    df1: int
    df2: int
    p: float


@dataclass(frozen=True)
class Friedman:
    """Friedman's test over blocks (participants), and Kendall's W, the agreement of the blocks on the order, in [0, 1].

    All NaN where no block tells any treatments apart, or there are fewer than two treatments or two blocks.
    """

    chi2: float
    df: int
    p: float
    w: float
    blocks: int


def one_way_anova(groups: list[npt.ArrayLike]) -> Anova:
    """One-way analysis of variance (Fisher) of groups of numbers, which it takes as independent; NaN are left out."""
    known = [values[~np.isnan(values)] for values in (np.asarray(group, dtype=np.float64) for group in groups)]
    df1, df2 = len(known) - 1, sum(map(len, known)) - len(known)
    if df1 < 1 or df2 < 1 or min(map(len, known)) == 0 or all(np.ptp(values) == 0 for values in known):
        return Anova(np.nan, max(df1, 0), max(df2, 0), np.nan)
    found = stats.f_oneway(*known)
    return Anova(float(found.statistic), df1, df2, float(found.pvalue))


def friedman(table: npt.ArrayLike) -> Friedman:
    """Friedman's rank test with ties (Friedman 1937; Conover 1999, §5.8), and Kendall's W = χ² / (blocks · (k − 1)).

    Parameters
    ----------
    table
        [blocks, k], one row a participant, one column a treatment. Rows with a NaN are left out. For k = 2 it is the
        sign test by χ².
    """
    values = np.asarray(table, dtype=np.float64)
    if values.ndim != 2:
        raise BadInput(f"Friedman's test takes a table [blocks, treatments]; got the shape {values.shape}")
    complete = values[~np.isnan(values).any(axis=1)]
    blocks, k = complete.shape
    ranks = stats.rankdata(complete, axis=1) if blocks else complete
    spread = np.square(ranks - (k + 1) / 2).sum() / (k - 1) if k > 1 else 0.0
    if spread == 0 or blocks < 2:
        return Friedman(np.nan, max(k - 1, 0), np.nan, np.nan, blocks)
    chi2 = float(np.square(ranks.sum(0) - blocks * (k + 1) / 2).sum() / spread)
    return Friedman(chi2, k - 1, float(stats.chi2.sf(chi2, k - 1)), chi2 / (blocks * (k - 1)), blocks)


def cliffs_delta(first: npt.ArrayLike, second: npt.ArrayLike, weights: Floats | None = None) -> Floats:
    """Cliff's delta of ratings, P(first > second) − P(first < second) over all pairs (Cliff 1993), in [-1, 1].

    Parameters
    ----------
    first, second
        [n, levels], how often each of n participants gave each rating, from the lowest to the highest.
    weights
        [r, n], how often each participant counts (a bootstrap's); once if absent.

    Returns
    -------
    Array
        [r], positive if the first is higher; NaN where one of them has no rating.
    """
    one, two = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    counted = np.ones((1, len(one))) if weights is None else weights
    a, b = counted @ one, counted @ two
    below = np.cumsum(b, axis=1) - b
    above = b.sum(1, keepdims=True) - b - below
    return ratio((a * (below - above)).sum(1), a.sum(1) * b.sum(1))


def histogram(values: Floats, levels: Floats) -> Floats:
    """How often each row of values [n, m] holds each level: [n, levels]."""
    counts: Floats = (values[:, :, None] == levels).sum(axis=1).astype(np.float64)
    return counts
