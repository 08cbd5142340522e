"""Confidence sequences: intervals of a mean that hold at all times at once, so that one may stop at any of them.

An interval made for a fixed number of values loses its coverage when values are added until it is narrow enough. Each
interval here covers the mean with the stated probability at every number of values simultaneously, therefore also at
the one where somebody stopped, for whatever reason.

References
----------
Waudby-Smith and Ramdas 2024, "Estimating means of bounded random variables by betting"; Waudby-Smith, Arbour, Sinha,
Kennedy and Ramdas 2024, "Time-uniform central limit theory and asymptotic confidence sequences".
"""

import numpy as np
import numpy.typing as npt

from pellucid.errors import BadInput
from pellucid.statistics.intervals import CONFIDENCE, Estimate, Floats

LARGEST_BET = 0.9
"""Share of the capital that a single value may cost at most."""
BISECTIONS = 30
START, TIGHTEST_AT = 128, 1000
"""The asymptotic sequence begins after this many values, and is narrowest, for its kind, near that many."""


def hedged_capital(
    values: npt.ArrayLike, *, bounds: tuple[float, float], aim: float, confidence: float = CONFIDENCE
) -> Estimate:
    """Interval of the mean of bounded values, by betting against every candidate mean; exact at every sample size.

    Parameters
    ----------
    values
        [n] in the order in which they came, independent and of one distribution; NaN = undefined, left out: the mean
        is that of the defined values.
    bounds
        The least and the largest value possible.
    aim
        Half width at which one means to stop. The bets are made for it: it decides where the interval is narrow, never
        whether it covers.

    Returns
    -------
    Estimate
        The sample mean and the intersection of the intervals at 1 … n values, so that more values never widen it. It
        becomes ± `aim` after about 2 log(2/α) (σ/aim)² values, 1.9 times as many as a fixed sample needs.

    Raises
    ------
    BadInput
        If a value lies outside of its bounds, or `aim` is not positive.

    References
    ----------
    Waudby-Smith and Ramdas 2024, theorem 3, with bets aim/σ̂².
    """
    low, high = bounds
    table = np.asarray(values, dtype=np.float64)
    kept = table[~np.isnan(table)]
    if len(kept) and not (low <= kept.min() and kept.max() <= high):
        raise BadInput(f"values must lie in their bounds, {low:g} … {high:g}; saw {kept.min():g} to {kept.max():g}")
    if not aim > 0:
        raise BadInput(f"the half width aimed at must be positive; got {aim:g}")
    if not len(kept):
        return Estimate(np.nan, low, high, 0, len(table))
    scaled, wanted = (kept - low) / (high - low), float(np.log(2 / (1 - confidence)))
    bets = _bets(scaled, aim / (high - low))  # those on 1 - values are the same
    sides = _largest_refuted(scaled, bets, wanted), 1 - _largest_refuted(1 - scaled, bets, wanted)
    ends = [low + (high - low) * side for side in sides]
    return Estimate(float(kept.mean()), min(ends), max(ends), len(kept), len(table) - len(kept))


def log_capital(values: Floats, mean: float, *, aim: float) -> Floats:
    """Log of the capital, begun at 1, of who bets that the mean of values in [0, 1] is larger than `mean`: [..., n].

    If `mean` is the true one the capital is a martingale, and reaches 1/α with probability α at most, ever (Ville). It
    falls as `mean` grows, so that the means it refutes are those below some number.
    """
    return _log_capital(values, _bets(values, aim), mean)


def _bets(values: Floats, aim: float) -> Floats:
    """aim/σ̂² with the variance of the values before each one: a bet knows no more."""
    times = np.arange(1, values.shape[-1] + 1)
    centre = (0.5 + values.cumsum(-1)) / (times + 1)
    spread = (0.25 + ((values - centre) ** 2).cumsum(-1)) / (times + 1)
    return np.concatenate([np.full_like(spread[..., :1], aim / 0.25), aim / spread[..., :-1]], -1)


def _log_capital(values: Floats, bets: Floats, mean: float) -> Floats:
    most = LARGEST_BET / mean if mean > 0 else np.inf
    capital: Floats = np.log1p(np.minimum(bets, most) * (values - mean)).cumsum(-1)
    return capital


def asymptotic(values: npt.ArrayLike, *, confidence: float = CONFIDENCE) -> Estimate:
    """Interval of the mean of values without bounds but with a variance; its coverage is exact in the limit only.

    Parameters
    ----------
    values
        As in :func:`hedged_capital`.

    Returns
    -------
    Estimate
        Infinite ends before the 128th value; from there on the limit theorem is trusted.

    References
    ----------
    Waudby-Smith, Arbour et al. 2024, theorem 2.2, with ρ narrowest near 1000 values.
    """
    table = np.asarray(values, dtype=np.float64)
    kept = table[~np.isnan(table)]
    n, dropped = len(kept), len(table) - len(kept)
    if n < START:
        return Estimate(float(kept.mean()) if n else np.nan, -np.inf, np.inf, n, dropped)
    mean, half = float(kept.mean()), float(kept.std()) * float(asymptotic_width(n, confidence=confidence))
    return Estimate(mean, mean - half, mean + half, n, dropped)


def asymptotic_width(n: int | npt.NDArray[np.int64], *, confidence: float = CONFIDENCE) -> Floats:
    """Half width of the asymptotic sequence at `n` values of standard deviation 1."""
    alpha, times = 1 - confidence, np.asarray(n, dtype=np.float64)
    rho = (-2 * np.log(alpha) + np.log(-2 * np.log(alpha)) + 1) / TIGHTEST_AT  # ρ², the prior variance of the mixture
    inner = times * rho + 1
    width: Floats = np.sqrt(2 * inner / (times**2 * rho) * np.log(np.sqrt(inner) / alpha))
    return width


def _largest_refuted(values: Floats, bets: Floats, wanted: float) -> float:
    """The largest mean in [0, 1] against which the log capital ever reached `wanted`; 0 if there is none."""
    low, high = 0.0, 1.0
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        refuted = _log_capital(values, bets, middle).max() >= wanted
        low, high = (middle, high) if refuted else (low, middle)
    return low
