"""What a number of seeds can show: power, the smallest detectable difference, and the noise between replicates."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import stats
from scipy.optimize import brentq
from scipy.special import ncfdtr

from pellucid.errors import BadInput

LEVEL = 0.05
POWER = 0.8


def power(effect: float, *, seeds: int, level: float = LEVEL) -> float:
    """Power in [0, 1] of the two-sided paired t-test over `seeds` differences of mean / standard deviation `effect`.

    Exact, from the noncentral t distribution, both tails (Cohen 1988).

    Raises
    ------
    BadInput
        For fewer than two seeds.
    """
    if seeds < 2:
        raise BadInput(f"a paired test needs at least two seeds; got {seeds}")
    freedom, centre = seeds - 1, effect * seeds**0.5
    edge = float(stats.t.ppf(1 - level / 2, freedom))
    return 1.0 - float(ncfdtr(1, freedom, centre**2, edge**2))  # t² is a noncentral F: both tails, and no underflow


def detectable_difference(spread: float, *, seeds: int, level: float = LEVEL, power: float = POWER) -> float:
    """The smallest mean difference, in the unit of `spread`, that the paired t-test finds with probability `power`.

    Parameters
    ----------
    spread
        Standard deviation of the paired differences, ≥ 0; NaN gives NaN.

    Raises
    ------
    BadInput
        For fewer than two seeds, or a power outside (level, 1).
    """
    if not level < power < 1:
        raise BadInput(f"the power must lie between the level {level} and 1; got {power}")
    return spread * _detectable_effect(seeds, level, power)


@lru_cache(maxsize=64)
def _detectable_effect(seeds: int, level: float, wanted: float) -> float:
    def missing(effect: float) -> float:
        return power(effect, seeds=seeds, level=level) - wanted

    high = 1.0
    while missing(high) < 0:
        high *= 2
    return float(brentq(missing, 0.0, high, xtol=1e-12))


def noise_floor(arms: Sequence[npt.ArrayLike], *, level: float = LEVEL) -> float:
    """How far two arms of the same recipe lie apart by their seeds alone: Fisher's least significant difference.

    Parameters
    ----------
    arms
        One array [seeds] an arm, one number a seed, NaN = undefined. The variance within arms is pooled.

    Returns
    -------
    float
        In the unit of the data, for two unpaired means over as many seeds as the smallest arm that has two: two arms
        of one recipe differ by more with probability `level`. NaN if no arm has two seeds.
    """
    known = [values[~np.isnan(values)] for values in (np.asarray(arm, dtype=np.float64) for arm in arms)]
    known = [values for values in known if len(values) > 1]
    if not known:
        return np.nan
    freedom = sum(len(values) - 1 for values in known)
    pooled = sum(float(((values - values.mean()) ** 2).sum()) for values in known) / freedom
    seeds = min(len(values) for values in known)
    return float(stats.t.ppf(1 - level / 2, freedom) * np.sqrt(2 * pooled / seeds))


def replicate_floor(differences: npt.ArrayLike, *, level: float = LEVEL) -> float:
    """The same from an arm and its control (a filter that does nothing), whose true difference is 0.

    Parameters
    ----------
    differences
        [n], one a seed, control - arm. Their mean square around 0 has n degrees of freedom.

    Returns
    -------
    float
        In the unit of the data: the mean of n such differences exceeds it with probability `level`. NaN
        without any.
    """
    values = np.asarray(differences, dtype=np.float64)
    values = values[~np.isnan(values)]
    n = len(values)
    return float(stats.t.ppf(1 - level / 2, n)) * float((values**2).mean() / n) ** 0.5 if n else np.nan
