"""Many tests at once: how much weaker each one's evidence is for it."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import false_discovery_control, ttest_1samp

from pellucid.statistics.intervals import equal


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Holm's step-down adjusted p-values (Holm 1979): all hypotheses below α are rejected with family-wise error α.

    Parameters
    ----------
    p_values
        [m], each in [0, 1] or NaN. A NaN stays one and does not count among the m.

    Returns
    -------
    Array
        [m] in the same order, never below the plain value.
    """
    plain = np.asarray(p_values, dtype=np.float64)
    known = np.flatnonzero(~np.isnan(plain))
    order = known[np.argsort(plain[known], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted = np.full_like(plain, np.nan)
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * plain[order]), 1.0)
    return adjusted


def benjamini_hochberg(p_values: ArrayLike) -> NDArray[np.float64]:
    """Step-up adjusted p-values (Benjamini and Hochberg 1995): of those below α, at most a share α is false on average.

    For tests that are independent or positively dependent, as those of one set of models mostly are. Arguments and
    result as in :func:`holm`.
    """
    plain = np.asarray(p_values, dtype=np.float64)
    known = ~np.isnan(plain)
    adjusted = np.full_like(plain, np.nan)
    if known.any():
        adjusted[known] = false_discovery_control(plain[known], method="bh")
    return adjusted


def paired_t_p(differences: ArrayLike) -> float:
    """One-sided p-value of the paired t-test that the mean of the differences is greater than 0.

    For one number a seed: n is the number of seeds, whatever each number was averaged over. NaN below two of them, and
    where all are equal and not 0 (:class:`pellucid.statistics.paired.PairedTest`).
    """
    values = np.asarray(differences, dtype=np.float64)
    if len(values) < 2:
        return float("nan")
    if equal(values):
        return float("nan") if values.any() else 1.0
    return float(ttest_1samp(values, 0.0, alternative="greater").pvalue)
