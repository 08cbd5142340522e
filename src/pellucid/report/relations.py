"""The published relations R1–R11 (definitions §5.2), each judged on the runs at hand.

The gate is the relation, never the published value. A verdict follows from an interval alone: `holds` or `does not
hold` where the 95 % interval of the paired difference lies on one side, `within noise` where it does not.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from pellucid.report import measures
from pellucid.report.contents import attribution_names
from pellucid.report.contrasts import Difference, contrast, contrast_pairs, depth
from pellucid.report.further_relations import further_relations
from pellucid.report.measures import Measure
from pellucid.report.preset_relations import preset_relations
from pellucid.report.relation import Relation, part_of, relation, unmeasured
from pellucid.report.runs import Run
from pellucid.report.verdicts import Part, above, at_least, part, within
from pellucid.report.words import attribution_name

ROBUST_MARGIN = 10.0
"""R3 `robust accuracy A ≫ N`: by more than 10 points (the smallest published gap is 10.6). Our reading of ≫."""
ROBUST_TOLERANCE = 2.0
"""R3 `G ≈ A`: within 2 points (the largest published gap is 1.3). Our reading of ≈."""
GINI_TOLERANCE = 0.01
"""R2, as published."""
REPLICATE_TOLERANCE = 0.02
"""R11: the largest Gini gap between near-replicates (definitions §5.3)."""

PUBLISHED = {
    "R1": ("Gini: A > N", "6 of 6 published cells"),
    "R2": (f"Gini: |G − A| ≤ {GINI_TOLERANCE}", "6 of 6"),
    "R3": ("Robust accuracy: A ≫ N and G ≈ A; natural accuracy: A < N", "3 of 3 data sets"),
    "R4": ("ROS: A > N", "6 of 6 on LeNet, WRN, ResNet; contradicted on VGG"),
    "R5": ("ROS: G < A", "6 of 6, effects smaller than between near-replicates in 5"),
    "R6": ("ROS: G restores what A lost (A > N and G ≤ N)", "contradicted in 6 of 6 cells of the same table"),
    "R7": ("SSIM under noise: N < A < G at every level", "in the figures, on maps that were not normalised"),
    "R8": ("ROAD-AOPC: A > N", "3 of 6; FMNIST contradicts"),
    "R9": ("ROAD-AOPC: G ≥ A", "3 of 3 for gradients, 1 of 3 for integrated gradients"),
    "R10": ("ROS: the earlier the block stands, the lower", "one data set; later stages worse than no block"),
    "R11": ("Mean and median filters behave like the Gaussian", "Gini yes, ROS no"),
}


def _rel(key: str, scope: str, parts: Sequence[Part], *, context: Sequence[Part] = ()) -> Relation:
    return relation(key, PUBLISHED[key], scope, parts, context=context)


def relations(runs: Sequence[Run]) -> list[Relation]:
    """R1–R11 for every attribution, on runs that share test images and architecture (see :attr:`Run.setting`).

    And the relations of the other two papers and of Pellucid's presets, where an arm of theirs is among the runs.
    """
    names = attribution_names(runs)
    found = [one for name in names for one in _of_attribution(runs, name)]
    found.append(_accuracy(runs))
    if not names:
        found += [_rel(key, "", [unmeasured("no attribution was measured")]) for key in PUBLISHED if key != "R3"]
    grouped = [[one for one in found if one.key == key] for key in PUBLISHED]
    return [one for group in grouped for one in _merged(group)] + [*further_relations(runs), *preset_relations(runs)]


def _merged(group: list[Relation]) -> list[Relation]:
    """The tested entries, and one more for each reason why others cannot be tested."""
    tested = [one for one in group if one.verdict != "not testable here"]
    untested = [one for one in group if one.verdict == "not testable here"]
    if tested:
        reasons = dict.fromkeys(one.reason for one in untested)
        alike = [[one for one in untested if one.reason == reason] for reason in reasons]
        return tested + [replace(ones[0], scope="; ".join(one.scope for one in ones)) for ones in alike]
    parts = {one.reason: one for relation in untested for one in relation.parts if one.reason}
    absent = [one for reason, one in parts.items() if reason.startswith("no run")]  # that says it all
    return [_rel(one.key, "", absent or list(parts.values())) for one in untested[:1]]


def settings(runs: Sequence[Run]) -> list[tuple[str, list[Run]]]:
    """The groups of runs that may be compared with each other, each with a name."""
    groups: dict[tuple[str, str, str], list[Run]] = {}
    for run in runs:
        groups.setdefault(run.setting, []).append(run)
    return [(f"{data}, {model}", group) for (data, _, model), group in groups.items()]


def _accuracy(runs: Sequence[Run]) -> Relation:
    robust, natural = measures.robust_accuracy(), measures.natural_accuracy()
    much, about = above(ROBUST_MARGIN), within(ROBUST_TOLERANCE)
    parts = [
        part_of(runs, robust, "A", "N", rule=much, claim=f"robust: A above N by more than {ROBUST_MARGIN:g} points"),
        part_of(runs, robust, "G", "A", rule=about, claim=f"robust: G within {ROBUST_TOLERANCE:g} points of A"),
        part_of(runs, natural, "N", "A", rule=above(), claim="natural: A below N"),
    ]
    return _rel("R3", "accuracy", parts)


def _of_attribution(runs: Sequence[Run], name: str) -> Iterator[Relation]:
    scope = attribution_name(name)
    gini, clean_aopc = measures.column(name, "gini", "Gini"), measures.aopc(name)
    random = measures.aopc(name, kind="random")
    control = [part_of(runs, random, "A", "N", rule=above(), claim="the same for a random map")]
    yield _rel("R1", scope, [part_of(runs, gini, "A", "N", rule=above(), claim="A > N")])
    yield _rel("R2", scope, [part_of(runs, gini, "G", "A", rule=within(GINI_TOLERANCE), claim="G within ± of A")])
    for label, measure in _ros_measures(name):
        yield from _ros(runs, name, f"{scope}, {label}", measure)
    for key, label in (("ssim", "clean"), ("ssim_legacy", "legacy")):
        yield _rel("R7", f"{scope}, {label}", _every_level(runs, name, key))
    yield _rel("R8", scope, [part_of(runs, clean_aopc, "A", "N", rule=above(), claim="A > N")], context=control)
    yield _rel("R9", scope, [part_of(runs, clean_aopc, "G", "A", rule=at_least(), claim="G ≥ A")])
    for role, filtered in (("M1", "mean"), ("M2", "median")):
        like = part_of(runs, gini, role, "G", rule=within(REPLICATE_TOLERANCE), claim=f"{role} within ± of G")
        yield _rel("R11", f"{scope}, Gini, {filtered} filter", [like])


def _ros_measures(name: str) -> list[tuple[str, Measure]]:
    norm = measures.column(name, "ros_norm", "ROS-norm", statistic="median", decimals=None)
    quantus = measures.column(name, "ros_quantus", "ROS-quantus", statistic="log10_mean", decimals=2)
    return [("ROS-norm", norm), ("ROS-quantus (legacy)", quantus)]


def _ros(runs: Sequence[Run], name: str, scope: str, measure: Measure) -> Iterator[Relation]:
    """R4, R5, R6, R10 and R11's half, for one form of ROS."""
    raised = part_of(runs, measure, "A", "N", rule=above(), claim="A > N")
    lowered = part_of(runs, measure, "A", "G", rule=above(), claim="G < A")
    restored = part_of(runs, measure, "N", "G", rule=at_least(), claim="G ≤ N")
    yield _rel("R4", scope, [raised], context=list(_ratio_parts(runs, name, measure.key)))
    yield _rel("R5", scope, [lowered])
    yield _rel("R6", scope, [raised, restored])
    yield _rel("R10", scope, _by_layer(runs, measure))
    for role, filtered in (("M1", "mean"), ("M2", "median")):
        helps = part_of(runs, measure, "A", role, rule=above(), claim=f"{role} < A, as claimed for G")
        yield _rel("R11", f"{scope}, {filtered} filter", [helps])


def _ratio_parts(runs: Sequence[Run], name: str, key: str) -> Iterator[Part]:
    """Numerator and denominator apart: a higher ROS may be nothing but smaller logit differences."""
    stem = key.removesuffix("_log10_mean")
    for half in ("numerator", "denominator"):
        measure = measures.column(
            name, f"{stem}_{half}", f"log10 of median {half}", statistic="log10_median", decimals=2
        )
        found = contrast(runs, measure, "A", "N")
        if isinstance(found, Difference):
            yield part(f"{measure.label} alone", found, above(), decimals=2)


def _every_level(runs: Sequence[Run], name: str, key: str) -> list[Part]:
    """N < A and A < G at each noise level."""
    noise = sorted({one for run in runs for one in measures.noise_levels(run)})
    steps: list[tuple[str, str, Callable[[str], str]]] = [
        ("A", "N", lambda at: f"A > N at σ = {at}"),
        ("G", "A", lambda at: f"G > A at σ = {at}"),
    ]
    label = "SSIM" if key == "ssim" else "Legacy SSIM"
    return [
        part_of(runs, measures.level(name, key, label, s), first, second, rule=above(), claim=claim(f"{s:g}"))
        for first, second, claim in steps
        for s in noise
    ] or [unmeasured(f"{label} was not measured")]


def _by_layer(runs: Sequence[Run], measure: Measure) -> list[Part]:
    """R10: each block against the next later one, among runs of role G."""
    placed = [(found, run) for run in runs if run.role == "G" and (found := depth(run)) is not None]
    if len({stage for (stage, _), _ in placed}) > 1:
        return [unmeasured("the layers' names do not say which comes first")]
    if len({(place, run.seed) for place, run in placed}) < len(placed):
        return [unmeasured("several runs have the block after one layer with one seed")]
    layers = sorted({number for (_, number), _ in placed})
    if len(layers) < 2:
        return [unmeasured("needs runs with the block after different layers")]
    parts = []
    for early, late in pairwise(layers):
        later, earlier = ([run for (_, number), run in placed if number == which] for which in (late, early))
        seeds = {run.seed: run for run in earlier}
        pairs = [(run, seeds[run.seed]) for run in later if run.seed in seeds]
        names = f"layer {late}", f"layer {early}"
        gap = contrast_pairs(pairs, measure, *names) if pairs else "no two layers share a seed"
        parts.append(part(f"layer {early} below layer {late}", gap, above(), decimals=measure.decimals))
    return parts
