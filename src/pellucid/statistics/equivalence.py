"""Whether paired numbers are equal within a margin: two one-sided tests. Imports no torch."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from pellucid.errors import BadInput
from pellucid.statistics.intervals import Estimate, student

LEVEL = 0.05


@dataclass(frozen=True)
class Equivalence:
    """Two one-sided paired t-tests at one margin.

    Attributes
    ----------
    margin
        Differences up to this size count as none, in the unit of the data.
    p
        The larger of both one-sided p-values: below `level`, the mean difference lies within ± margin.
    estimate
        Mean with the interval of confidence 1 - 2·level; it lies within ± margin exactly where p < level.
    level
        Of each of the two tests, and of both together.
    """

    margin: float
    p: float
    estimate: Estimate
    level: float = LEVEL

    @property
    def holds(self) -> bool:
        """Whether the two are equal within the margin; False where that cannot be said."""
        return self.p < self.level


def equivalent(differences: npt.ArrayLike, *, margin: float, level: float = LEVEL) -> Equivalence:
    """TOST (Schuirmann 1987) for paired differences [n], one a seed; NaN are left out, p is NaN below two of them.

    Raises
    ------
    BadInput
        If the margin is not above 0, or the level not in (0, 0.5).
    """
    if not margin > 0 or not 0 < level < 0.5:
        raise BadInput(f"an equivalence test needs a margin > 0 and a level in (0, 0.5); got {margin} and {level}")
    estimate = student(differences, confidence=1 - 2 * level)
    if estimate.n < 2:
        return Equivalence(margin, np.nan, estimate, level)
    error = (estimate.high - estimate.low) / 2 / float(stats.t.ppf(1 - level, estimate.n - 1))
    room = margin - abs(estimate.value)
    if not error:  # only zeros
        return Equivalence(margin, 0.0, estimate, level)
    p = float(stats.t.sf(room / error, estimate.n - 1))
    return Equivalence(margin, p, estimate, level)


def equal_within(differences: npt.ArrayLike, *, level: float = LEVEL) -> float:
    """The smallest margin at which :func:`equivalent` holds: the farther end of the interval of 1 - 2·level, or NaN."""
    estimate = student(differences, confidence=1 - 2 * level)
    return max(abs(estimate.low), abs(estimate.high))
