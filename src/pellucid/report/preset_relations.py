"""What is claimed of Pellucid's own presets, judged like everybody else's claims, and corrected for their number.

P1, P2: a preset beats A *and* G on sparsity, stability and faithfulness at once, at an accuracy within one point. P3,
P4: the same on what its training term never saw. A single comparison counts where Holm's adjusted p-value of the paired
t-test over seeds is below 5 %.
"""

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np

from pellucid.report import measures
from pellucid.report.contrasts import contrast, seed_differences
from pellucid.report.evidence import diffroad, held_out
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
        yield _relation("P1", "PN", name, [natural, *_beats(runs, "PN", _headline(name))])
        yield _relation("P3", "PN", name, _beats(runs, "PN", _unseen(name)))
    if "P" in roles:
        kept = [
            part_of(runs, measure, "P", "A", rule=at_least(-POINT), claim=f"{measure.label}: A − 1 pt")
            for measure in (measures.natural_accuracy(), measures.robust_accuracy())
        ]
        yield _relation("P2", "P", name, [*kept, *_beats(runs, "P", _headline(name))])
        yield _relation("P4", "P", name, _beats(runs, "P", _unseen(name)))


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


def _beats(runs: Sequence[Run], preset: str, wanted: Sequence[Measure]) -> list[Part]:
    """One part for each measure and rival, all tested together."""
    tests = [
        (measure, rival, seed_differences(runs, measure, preset, rival))
        for measure, rival in product(wanted, RIVALS)
        if any(measure.sample(run) is not None for run in runs)
    ]
    plain = [
        float("nan") if isinstance(found, str) else paired_t_p([_better(measure) * one for one in found])
        for measure, _, found in tests
    ]
    return [
        _part(runs, measure, preset, rival, p) for (measure, rival, _), p in zip(tests, holm(plain), strict=True)
    ] or [unmeasured("none of the measures was taken")]


def _part(runs: Sequence[Run], measure: Measure, preset: str, rival: str, p: float) -> Part:
    found = contrast(runs, measure, preset, rival)
    claim = f"{measure.label}: {preset} better than {rival}, Holm p = {number(p)}"
    if isinstance(found, str) or np.isnan(p):
        return part(claim, found if isinstance(found, str) else "needs at least two seeds", at_least())
    worse = found.estimate.high < 0 if measure.direction == "↑" else found.estimate.low > 0
    verdict: Verdict = "holds" if p < LEVEL else "does not hold" if worse else "within noise"
    return Part(claim, found, verdict, decimals=measure.decimals)


def _better(measure: Measure) -> float:
    return -1.0 if measure.direction == "↓" else 1.0
