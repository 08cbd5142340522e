"""How often each of K alternatives was chosen, when people choose several times."""

import numpy as np
import numpy.typing as npt
from scipy import stats

from pellucid.statistics.clusters import cluster_bootstrap, ratio
from pellucid.statistics.intervals import CONFIDENCE, RESAMPLES, Estimate, Floats, wilson


def cluster_shares(
    counts: npt.ArrayLike, *, confidence: float = CONFIDENCE, resamples: int = RESAMPLES, seed: int = 0
) -> list[Estimate]:
    """Share of each alternative in all choices, with a bootstrap interval over participants.

    Parameters
    ----------
    counts
        [participants, K], how often each participant chose each alternative. Who never chose is left out.
    """
    table = np.asarray(counts, dtype=np.float64)
    table = table[table.sum(axis=1) > 0]
    everything = table.sum(axis=1)

    def share(column: Floats) -> Estimate:
        return cluster_bootstrap(
            lambda weights: ratio(weights @ column, weights @ everything),
            len(table),
            confidence=confidence,
            resamples=resamples,
            seed=seed,
        )

    return [share(column) for column in table.T]


def goodman(counts: npt.ArrayLike, *, confidence: float = CONFIDENCE) -> list[Estimate]:
    """Simultaneous intervals of multinomial shares [K] (Goodman 1965): Wilson's at a K-th of the error.

    For independent choices: one a participant.
    """
    table = np.asarray(counts, dtype=np.int64)
    each = 1 - (1 - confidence) / max(len(table), 1)
    return [wilson(int(one), int(table.sum()), confidence=each) for one in table]


def goodness_of_fit(counts: npt.ArrayLike) -> tuple[float, float]:
    """χ² and p (K − 1 degrees of freedom) that all K alternatives are chosen alike, for independent choices [K]."""
    table = np.asarray(counts, dtype=np.float64)
    if len(table) < 2 or table.sum() == 0:
        return float("nan"), float("nan")
    found = stats.chisquare(table)
    return float(found.statistic), float(found.pvalue)


def chance_p(counts: npt.ArrayLike) -> Floats:
    """Two-sided p [K] of the t-test over participants that the mean of their shares of an alternative is 1/K.

    Participants without a choice are left out. NaN where all have the same share, and below two participants.
    """
    table = np.asarray(counts, dtype=np.float64)
    table = table[table.sum(axis=1) > 0]
    return np.array([_one_sample_p(table[:, k] / table.sum(axis=1), 1 / table.shape[1]) for k in range(table.shape[1])])


def _one_sample_p(values: Floats, mean: float) -> float:
    if len(values) < 2 or np.ptp(values) == 0:
        return float("nan")
    return float(stats.ttest_1samp(values, mean).pvalue)
