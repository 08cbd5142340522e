"""Wilcoxon's signed-rank test, two-sided, for data with many ties and zeros such as ratings; and its effect size.

Ranks are midranks of the absolute differences that are not zero (zeros are dropped, Wilcoxon 1945). Given them, each
difference is as likely to be positive as negative, which gives both the exact distribution and the normal one.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from pellucid.statistics.clusters import ratio
from pellucid.statistics.intervals import Floats

_EXACT_UP_TO = 50  # pairs, as in scipy and R


@dataclass(frozen=True)
class SignedRank:
    """A two-sided signed-rank test of paired differences.

    Attributes
    ----------
    pairs, zeros
        How many pairs there were, and how many of them were equal (dropped).
    statistic
        W+, the sum of the ranks of positive differences.
    z
        Of the normal approximation with ties, positive if the first is higher; 0 if all pairs are equal.
    p
        Two-sided, in [0, 1]: of z, or exact; 1 if all pairs are equal; NaN without a pair.
    exact
        Whether p is the exact conditional one.
    """

    pairs: int
    zeros: int
    statistic: float
    z: float
    p: float
    exact: bool = False


def signed_rank(differences: npt.ArrayLike) -> SignedRank:
    """The normal approximation with ties and without continuity correction, whatever n (scipy's `asymptotic`).

    Parameters
    ----------
    differences
        [n], first minus second; NaN are left out.
    """
    known = _known(differences)
    moved = known[known != 0]
    if len(known) == 0:
        return SignedRank(0, 0, np.nan, np.nan, np.nan)
    ranks = stats.rankdata(np.abs(moved))
    above, below = float(ranks[moved > 0].sum()), float(ranks[moved < 0].sum())
    spread = float(np.sqrt(np.square(ranks).sum()))  # the standard deviation of W+ − W−, ties included
    z = (above - below) / spread if spread else 0.0
    return SignedRank(len(known), len(known) - len(moved), above, z, float(2 * stats.norm.sf(abs(z))))


def small_sample_signed_rank(differences: npt.ArrayLike) -> SignedRank:
    """The test for few pairs: exact, given the ties, up to 50 pairs that differ; the normal approximation above."""
    found = signed_rank(differences)
    known = _known(differences)
    moved = known[known != 0]
    if not 0 < len(moved) <= _EXACT_UP_TO:
        return found
    p = _exact_p(stats.rankdata(np.abs(moved)), found.statistic)
    return SignedRank(found.pairs, found.zeros, found.statistic, found.z, p, exact=True)


def rank_biserial(differences: npt.ArrayLike, weights: Floats | None = None) -> Floats:
    """Matched-pairs rank-biserial correlation (W+ − W−) / (W+ + W−) (Kerby 2014), in [-1, 1].

    Parameters
    ----------
    differences
        [n], first minus second; NaN and zeros carry no weight.
    weights
        [r, n], how often each pair counts (a bootstrap's); once if absent.

    Returns
    -------
    Array
        [r], positive if the first is higher; 0 if all pairs are equal; NaN without a pair.
    """
    table = np.asarray(differences, dtype=np.float64)
    counted = np.ones((1, len(table))) if weights is None else weights
    sizes, place = np.unique(np.abs(np.nan_to_num(table)), return_inverse=True)
    member = (place[:, None] == np.arange(len(sizes))) & (table != 0)[:, None] & ~np.isnan(table)[:, None]
    up, down = counted @ (member & (table > 0)[:, None]), counted @ (member & (table < 0)[:, None])
    tied = up + down
    ranks = np.cumsum(tied, axis=1) - tied / 2 + 0.5
    shares = ratio((ranks * (up - down)).sum(1), (ranks * tied).sum(1))
    pairs = counted @ ~np.isnan(table)
    return np.where((pairs > 0) & np.isnan(shares), 0.0, shares)


def _known(differences: npt.ArrayLike) -> Floats:
    values = np.asarray(differences, dtype=np.float64)
    return values[~np.isnan(values)]


def _exact_p(ranks: Floats, above: float) -> float:
    """Share of the 2^n sign patterns whose W+ lies as far from its mean as the one seen."""
    doubled = np.rint(2 * ranks).astype(np.int64)  # midranks are halves
    total = int(doubled.sum())
    chance = np.zeros(total + 1)
    chance[0] = 1.0
    for rank in doubled:
        chance[rank:] = (chance[rank:] + chance[: total + 1 - rank]) / 2
        chance[:rank] /= 2
    distance = np.abs(2 * np.arange(total + 1) - total)
    return min(1.0, float(chance[distance >= abs(round(4 * above) - total)].sum()))
