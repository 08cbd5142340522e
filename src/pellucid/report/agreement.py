"""Do the metrics agree: rank correlations of the arms between metrics, and which metrics turn a conclusion round."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from pellucid.report.arms import Arm, seed_values
from pellucid.report.comparisons import Comparison
from pellucid.report.measures import Measure
from pellucid.report.reading import Floats
from pellucid.report.words import count, listing


@dataclass(frozen=True)
class Vote:
    """What the metrics say of a pair of arms.

    Attributes
    ----------
    first, second
        The pair, with the arm first that more metrics put first.
    pro, contra
        The labels of the metrics that put `first` above `second`, and of those that put it below.
    clear
        Those of both whose paired test is clear.
    """

    first: str
    second: str
    pro: tuple[str, ...]
    contra: tuple[str, ...]
    clear: frozenset[str]

    @property
    def sentence(self) -> str:
        """`P is better than A under 9 of 11 metrics (8 clearly); this flips under 2 of 11: Cosine, …`."""
        metrics = len(self.pro) + len(self.contra)
        surely = sum(label in self.clear for label in self.pro)
        text = f"{self.first} is better than {self.second} under {len(self.pro)} of {count(metrics, 'metric')}"
        text += f" ({surely} clearly)" if surely else " (none clearly)"
        if not self.contra:
            return f"{text}; no metric turns this round."
        turned = [f"{label}{' (clearly)' if label in self.clear else ''}" for label in self.contra]
        return f"{text}; this flips under {len(self.contra)} of {metrics}: {listing(turned)}."


def votes(found: Sequence[Comparison]) -> list[Vote]:
    """One vote a pair of arms, over the directed measures among the comparisons."""
    pairs = dict.fromkeys((one.difference.first, one.difference.second) for one in found)
    return [_vote([one for one in found if (one.difference.first, one.difference.second) == pair]) for pair in pairs]


def _vote(found: Sequence[Comparison]) -> Vote:
    names = found[0].difference.first, found[0].difference.second
    pro, contra = (tuple(one.measure.label for one in found if one.leader == name) for name in names)
    clear = frozenset(one.measure.label for one in found if one.clear)
    if len(contra) > len(pro):
        return Vote(names[1], names[0], contra, pro, clear)
    return Vote(*names, pro, contra, clear)


def rank_correlations(arms: Sequence[Arm], measures: Sequence[Measure]) -> Floats:
    """Kendall's τ-b [metrics, metrics] of the arms' order, best first, in [-1, 1]; NaN below three arms or for ties."""
    means = [[float(np.mean(seed_values(measure, arm))) for arm in arms] for measure in measures]
    better = np.array([[-1.0 if one.direction == "↓" else 1.0] for one in measures]) * np.array(means)
    return np.array([[_tau(one, two) for two in better] for one in better])


def _tau(one: Floats, two: Floats) -> float:
    known = ~(np.isnan(one) | np.isnan(two))
    if known.sum() < 3:
        return np.nan
    return float(stats.kendalltau(one[known], two[known]).statistic)
