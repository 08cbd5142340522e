"""Every pair of arms in one measure: the paired t-test over seeds, corrected for the number of pairs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from pellucid.report.arms import Arm, seed_values
from pellucid.report.contrasts import Difference, between
from pellucid.report.measures import Measure
from pellucid.statistics import (
    PairedTest,
    benjamini_hochberg,
    detectable_difference,
    equal_within,
    holm,
    noise_floor,
    paired_test,
    replicate_floor,
)

LEVEL = 0.05


@dataclass(frozen=True)
class Comparison:
    """One pair of arms in one measure, in the measure's shown unit.

    Attributes
    ----------
    difference
        first - second, with Student's interval over the seeds that both have.
    test
        The two-sided paired t-test.
    holm
        Its p, adjusted for all pairs of arms in this measure: one false claim among them with probability 5 %.
    discovery
        Its p, adjusted by Benjamini and Hochberg for all pairs in all measures of the table it stands in; NaN before.
    """

    measure: Measure
    difference: Difference
    test: PairedTest
    holm: float
    discovery: float = float("nan")

    @property
    def detectable(self) -> float:
        """The smallest true difference that these seeds would have found with a probability of 80 %."""
        return detectable_difference(self.test.spread, seeds=self.difference.seeds)

    @property
    def equal_within(self) -> float:
        """The smallest margin within which the two are equal (TOST, 5 %)."""
        return equal_within(self.difference.gaps)

    @property
    def clear(self) -> bool:
        """Whether the two differ."""
        return self.holm < LEVEL

    @property
    def leader(self) -> str | None:
        """The arm that is better on average, clearly or not; None for neither, or where no direction is better."""
        value = self.difference.estimate.value
        if not self.measure.direction or not value:
            return None
        return self.difference.first if (value > 0) == (self.measure.direction == "↑") else self.difference.second


def compare(arms: Sequence[Arm], measure: Measure) -> list[Comparison]:
    """Every pair of arms that shares at least two seeds, in the arms' order."""
    found = [between(second, first, measure) for first, second in combinations(arms, 2)]
    known = [one for one in found if isinstance(one, Difference) and one.seeds > 1]
    tests = [paired_test(one.gaps) for one in known]
    adjusted = holm([test.p for test in tests])
    return [Comparison(measure, *one) for one in zip(known, tests, map(float, adjusted), strict=True)]


def with_discovery(found: Iterable[Comparison]) -> list[Comparison]:
    """The same with false discovery rates over all of them."""
    listed = list(found)
    rates = benjamini_hochberg([one.test.p for one in listed])
    return [replace(one, discovery=float(rate)) for one, rate in zip(listed, rates, strict=True)]


def not_worse(found: Sequence[Comparison], best: str, names: Iterable[str]) -> set[str]:
    """The arms other than `best` that no clear test shows to differ from it."""
    differ = {frozenset((one.difference.first, one.difference.second)) for one in found if one.clear}
    return {name for name in names if name != best and frozenset((name, best)) not in differ}


def noise_floors(arms: Sequence[Arm], measure: Measure) -> dict[str, float]:
    """How far replicates lie apart, in the shown unit: arms of one recipe with other seeds, and A with its control."""
    floors = {"other seeds of one recipe": noise_floor([seed_values(measure, arm) for arm in arms])}
    named = {arm.name: arm for arm in arms}
    if {"A", "I"} <= named.keys():
        control = between(named["I"], named["A"], measure)
        if isinstance(control, Difference) and control.gaps:
            floors["A and its control I"] = replicate_floor(control.gaps)
    return {name: floor for name, floor in floors.items() if not np.isnan(floor)}
