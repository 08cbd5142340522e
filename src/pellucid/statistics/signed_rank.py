"""Whether paired numbers are better, worse, or neither: Wilcoxon's signed-rank test, one-sided. Imports no torch."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

from pellucid.errors import BadInput

LEVEL = 0.05

Decision = Literal["holds", "does not hold", "within noise", "not testable here"]


def signed_rank_p(differences: npt.ArrayLike) -> float:
    """One-sided p of Wilcoxon's signed-rank test that paired differences [n] lie above 0.

    NaN are left out; equal pairs carry no information, so that only zeros give 1. NaN without any number. Exact for few
    pairs: with n of one sign it is 2⁻ⁿ, so fewer than five pairs never reach .05.
    """
    values = np.asarray(differences, dtype=np.float64)
    values = values[~np.isnan(values)]
    if len(values) == 0:
        return float("nan")
    moved = values[values != 0]
    return float(stats.wilcoxon(moved, alternative="greater").pvalue) if len(moved) else 1.0


@dataclass(frozen=True)
class Rule:
    """What must be true of paired numbers, ours and a reference's, one pair a seed.

    Attributes
    ----------
    better
        1 if higher is better, -1 if lower is.
    reduction
        The mean must be smaller than the reference's mean by this share (for lower is better), in [0, 1).
    margin
        Instead of a significant improvement: the mean may be worse by at most this much.
    """

    better: int
    reduction: float = 0.0
    margin: float | None = None

    def __post_init__(self) -> None:
        if self.better not in (1, -1) or not 0 <= self.reduction < 1 or (self.reduction and self.better == 1):
            raise BadInput(f"better is 1 or -1, and a reduction in [0, 1) is for lower is better; got {self}")


def decide(ours: npt.ArrayLike, reference: npt.ArrayLike, rule: Rule) -> tuple[Decision, float]:
    """The decision on one set, and the p that the difference lies in the claimed direction.

    - With a margin: "holds" if the mean is no worse than the margin allows; else "does not hold" if that is
      significant, else "within noise". p is that of "better than the margin allows".
    - Otherwise "holds" if ours are significantly better and (with a reduction) the mean is reduced by as much; "does
      not hold" if ours are significantly worse, or significantly less reduced; else "within noise".

    Raises
    ------
    BadInput
        If the two are not of one length.
    """
    first, second = np.asarray(ours, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    if first.shape != second.shape or first.ndim != 1:
        raise BadInput(f"paired numbers must be of one length; got {first.shape} and {second.shape}")
    known = ~(np.isnan(first) | np.isnan(second))
    first, second = first[known], second[known]
    if len(first) == 0:
        return "not testable here", float("nan")
    better = rule.better * (first - second)
    beyond = better + (rule.margin or 0.0) - rule.reduction * np.abs(second)  # ≥ 0: as much as the rule asks for
    reached = float(beyond.mean()) >= 0
    p = signed_rank_p(beyond if rule.margin is not None else better)
    holds = reached and (rule.margin is not None or p < LEVEL)
    refuted = not reached and signed_rank_p(-beyond) < LEVEL
    return ("holds" if holds else "does not hold" if refuted else "within noise"), p


def over_sets(decisions: list[Decision], share: float) -> Decision:
    """The verdict over sets: "holds" if it does on this share of them; "does not hold" if it no longer could.

    Sets that are within noise could hold with more seeds; sets that cannot be tested are not counted.
    """
    tested = [one for one in decisions if one != "not testable here"]
    needed = share * len(tested) - 1e-9
    if not tested:
        return "not testable here"
    holding = tested.count("holds")
    if holding >= needed:
        return "holds"
    return "within noise" if holding + tested.count("within noise") >= needed else "does not hold"


def all_of(decisions: list[Decision]) -> Decision:
    """The verdict on a claim of several parts: all must hold, and one that does not hold refutes it."""
    order: tuple[Decision, ...] = ("does not hold", "not testable here", "within noise")
    return next((one for one in order if one in decisions), "holds" if decisions else "not testable here")
