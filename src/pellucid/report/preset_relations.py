"""What is claimed of Pellucid's own presets, judged like everybody else's claims, and corrected for their number.

P1, P2: a preset beats A *and* G on sparsity, stability and faithfulness at once, at an accuracy within one point. P3,
P4: the same on what its training term never saw. A single comparison counts where Holm's adjusted p-value of the paired
t-test over seeds is below 5 %.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import product

import numpy as np

from pellucid.report import measures
from pellucid.report.contrasts import Difference, contrast, scalar_contrast
from pellucid.report.evidence import diffroad, held_out, knows_truth, truth
from pellucid.report.measures import Measure
from pellucid.report.relation import Relation, part_of, relation, unmeasured
from pellucid.report.runs import Run
from pellucid.report.verdicts import Part, Verdict, at_least, part
from pellucid.report.words import attribution_name, number
from pellucid.statistics.multiple import holm, paired_t_p

PRESETS = {"PN": "pellucid-natural", "P": "pellucid-robust"}
RIVALS = ("A", "G")
POINT = 1.0
LEVEL = 0.05
NO_PAPER = "ours"


def preset_relations(runs: Sequence[Run], name: str = "gradient") -> Iterator[Relation]:
    """P1 and P3 if pellucid-natural is among the runs, P2 and P4 if pellucid-robust is."""
    roles = {run.role for run in runs}
    if "PN" in roles:
        natural = part_of(
            runs, measures.natural_accuracy(), "PN", "N", rule=at_least(-POINT), claim="natural: N − 1 pt"
        )
        yield _relation("P1", "PN", name, [natural, *_headline_parts(runs, "PN", name)])
        yield _relation("P3", "PN", name, _unseen_parts(runs, "PN", name))
    if "P" in roles:
        kept = [
            part_of(runs, measure, "P", "A", rule=at_least(-POINT), claim=f"{measure.label}: A − 1 pt")
            for measure in (measures.natural_accuracy(), measures.robust_accuracy())
        ]
        yield _relation("P2", "P", name, [*kept, *_headline_parts(runs, "P", name)])
        yield _relation("P4", "P", name, _unseen_parts(runs, "P", name))


def _relation(key: str, preset: str, name: str, parts: Sequence[Part]) -> Relation:
    what = "Gini, SSIM, ROS-norm and AOPC" if key in {"P1", "P2"} else "perturbations and tests it was not trained for"
    return relation(key, (f"{PRESETS[preset]} beats A and G on {what}", NO_PAPER), attribution_name(name), parts)


def _headline(name: str) -> list[Measure]:
    return [
        measures.column(name, "gini", "Gini", direction="↑"),
        measures.levels_mean(name, "ssim", "SSIM"),
        measures.column(name, "ros_norm", "ROS-norm", statistic="median", direction="↓", decimals=None),
        measures.aopc(name),
    ]


def _unseen(name: str) -> list[Measure]:
    return [
        held_out(name, "ssim", "SSIM, held-out perturbations"),
        measures.column(name, "top_k_intersection", "Top-k intersection under attack", direction="↑"),
        measures.column(name, "other_seed_ssim", "SSIM with another seed", direction="↑"),
        diffroad(name),
    ]


def _headline_parts(runs: Sequence[Run], preset: str, name: str) -> list[Part]:
    return _judged(preset, _tests(runs, preset, _headline(name)))


def _unseen_parts(runs: Sequence[Run], preset: str, name: str) -> list[Part]:
    wanted = _unseen(name) + ([truth(name)] if knows_truth(runs) else [])
    tests = _tests(runs, preset, wanted)
    if any(name in run.diffroar for run in runs):
        retrained = partial(scalar_contrast, runs, lambda run: run.diffroar.get(name), "DiffROAR", preset)
        tests += [_Test("DiffROAR", rival, retrained(rival)) for rival in RIVALS]
    return _judged(preset, tests)


@dataclass(frozen=True)
class _Test:
    """The preset against a rival in one number; `sign` is -1 where less is better."""

    label: str
    rival: str
    difference: Difference | str
    sign: int = 1
    decimals: int | None = 3

    @cached_property
    def p(self) -> float:
        """Of the paired t-test over seeds; NaN without at least two."""
        found = self.difference
        return float("nan") if isinstance(found, str) else paired_t_p([self.sign * gap for gap in found.gaps])

    def judged(self, preset: str, p: float) -> Part:
        """The part of a relation, given Holm's p-value."""
        found, claim = self.difference, f"{self.label}: {preset} better than {self.rival}, Holm p = {number(p)}"
        if isinstance(found, str) or np.isnan(p):
            return part(claim, found if isinstance(found, str) else "needs at least two seeds", at_least())
        worse = found.estimate.high < 0 if self.sign > 0 else found.estimate.low > 0
        verdict: Verdict = "holds" if p < LEVEL else "does not hold" if worse else "within noise"
        return Part(claim, found, verdict, decimals=self.decimals)


def _tests(runs: Sequence[Run], preset: str, wanted: Sequence[Measure]) -> list[_Test]:
    """Against each rival, in all that was measured."""
    return [
        _Test(
            measure.label,
            rival,
            contrast(runs, measure, preset, rival),
            -1 if measure.direction == "↓" else 1,
            measure.decimals,
        )
        for measure, rival in product(wanted, RIVALS)
        if any(measure.sample(run) is not None for run in runs)
    ]


def _judged(preset: str, tests: Sequence[_Test]) -> list[Part]:
    """One part for each test, corrected for their number."""
    adjusted = holm([test.p for test in tests])
    return [test.judged(preset, p) for test, p in zip(tests, adjusted, strict=True)] or [
        unmeasured("none of the measures was taken")
    ]
