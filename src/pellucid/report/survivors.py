"""Who was left out: the share of undefined values of each arm, and what its number could be with them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pellucid.report import measures
from pellucid.report.arms import Arm, values_by_arm
from pellucid.report.measures import Measure
from pellucid.report.reading import Floats
from pellucid.statistics.intervals import aggregate
from pellucid.statistics.missing import bounds

RANGES = {
    "gini": (0.0, 1.0),
    "ssim": (-1.0, 1.0),
    "spearman": (-1.0, 1.0),
    "cosine": (-1.0, 1.0),
    "kendall": (-1.0, 1.0),
    "intersection": (0.0, 1.0),
    "auc": (0.0, 1.0),
    "energy_inside": (0.0, 1.0),
    "pointing_game": (0.0, 1.0),
    "precision_at_truth": (0.0, 1.0),
    "quiet_groups": (0.0, 1.0),
    "misalignment": (0.0, 1.0),
}
"""What values a metric can have, by a word in its key; of any other, the observed ones."""


@dataclass(frozen=True)
class Survivors:
    """One arm in one measure, in the measure's shown unit.

    Attributes
    ----------
    undefined
        Share of undefined values among the images that some run of the setting has a value for, in [0, 1].
    value
        Over the values that are defined, mean over seeds.
    low, high
        The same if all undefined values were as low, and as high, as they can be.
    """

    measure: Measure
    arm: str
    undefined: float
    value: float
    low: float
    high: float


def survivors(arms: Sequence[Arm], measure: Measure) -> list[Survivors]:
    """Every arm that has the measure; empty where no value is undefined."""
    tables = values_by_arm(measure, arms)
    if not any(np.isnan(values).any() for values in tables.values()):
        return []
    ends = _range(measure, np.concatenate(list(tables.values())))
    return [_survivors(measure, name, values, ends) for name, values in tables.items()]


def order_is_open(found: Sequence[Survivors], first: str, second: str) -> bool:
    """Whether the undefined values could turn two arms round: the bounds overlap."""
    named = {one.arm: one for one in found}
    return named[first].low <= named[second].high and named[second].low <= named[first].high


def _survivors(measure: Measure, name: str, values: Floats, ends: tuple[float, float]) -> Survivors:
    statistic = measures.resampled_statistic(measure)
    extremes = np.mean([bounds(one, low=ends[0], high=ends[1], statistic=statistic) for one in values], axis=0)
    value = float(np.mean([aggregate(one, statistic) for one in values]))
    low, high = (measure.factor * float(end) for end in extremes)
    return Survivors(measure, name, float(np.isnan(values).mean()), measure.factor * value, low, high)


def _range(measure: Measure, values: Floats) -> tuple[float, float]:
    known = next((ends for word, ends in RANGES.items() if word in measure.key), None)
    return known or (float(np.nanmin(values)), float(np.nanmax(values)))
