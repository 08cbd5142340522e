"""The paired t-test over seeds, with its interval and effect size. Imports no torch."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats
from scipy.special import gammaln

from pellucid.statistics.intervals import CONFIDENCE, Estimate, equal, student


@dataclass(frozen=True)
class PairedTest:
    """What paired differences, one a seed, say about their mean.

    Attributes
    ----------
    estimate
        Mean with Student's interval, in the unit of the data.
    spread
        Standard deviation of the differences (n - 1).
    t, p
        Student's t against 0 and its two-sided p; only zeros give p = 1. Equal differences other than 0 say nothing of
        how seeds vary (:func:`pellucid.statistics.intervals.student`): all but their mean is NaN.
    effect
        Hedges's g of paired differences: mean / spread, times the factor J(n - 1) that removes its bias (Hedges 1981).
    """

    estimate: Estimate
    spread: float
    t: float
    p: float
    effect: float


def paired_test(differences: npt.ArrayLike, *, confidence: float = CONFIDENCE) -> PairedTest:
    """Two-sided paired t-test of differences [n]; NaN are left out, and everything but the mean is NaN below two."""
    values = np.asarray(differences, dtype=np.float64)
    estimate = student(values, confidence=confidence)
    values = values[~np.isnan(values)]
    if len(values) < 2:
        return PairedTest(estimate, np.nan, np.nan, np.nan, np.nan)
    freedom, spread = len(values) - 1, float(values.std(ddof=1))
    if not values.any():
        return PairedTest(estimate, 0.0, 0.0, 1.0, 0.0)
    if equal(values):
        return PairedTest(estimate, np.nan, np.nan, np.nan, np.nan)
    standardised = estimate.value / spread
    t = standardised * len(values) ** 0.5
    return PairedTest(estimate, spread, t, float(2 * stats.t.sf(abs(t), freedom)), standardised * unbiasing(freedom))


def unbiasing(freedom: int) -> float:
    """J(m) = Γ(m/2) / (√(m/2) Γ((m-1)/2)), which removes the bias of a standardised mean (Hedges 1981); 0 for m = 1."""
    if freedom < 2:
        return 0.0
    return float(np.exp(gammaln(freedom / 2) - gammaln((freedom - 1) / 2) - np.log(freedom / 2) / 2))
