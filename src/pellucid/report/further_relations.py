"""The relations that the NRAT and T2E abstracts claim (definitions §5.2: N1–N6, T1–T6), directions only.

Both papers' numbers are not public; what "raise" and "small" mean is our reading, and stands with each part.
"""

from collections.abc import Callable, Iterator, Sequence
from math import log10

from pellucid.report import measures
from pellucid.report.contrasts import scalar_contrast
from pellucid.report.evidence import diffroad, held_out, knows_truth, truth
from pellucid.report.measures import Measure
from pellucid.report.relation import Relation, part_of, relation, unmeasured
from pellucid.report.runs import Run
from pellucid.report.verdicts import Part, Rule, above, at_least, part
from pellucid.report.words import attribution_name, listing

NRAT = ("L1", "EN", "GN", "GZ")
SMALL_COST = 2.0
"""N6 `small accuracy cost`: at most 2 points of natural accuracy. Our reading."""
PRESERVED = 1.0
"""T1 `accuracy preserved`: at most 1 point lost (definitions §3.1)."""
SMOOTHER = 0.3
"""T2: the roughness falls by 30 % (definitions §3.1)."""

PUBLISHED = {
    "N1": ("Gini: L1 and elastic net > N", "abstract only"),
    "N2": ("Gini over blocks: group norm > N", "abstract only"),
    "N3": ("Alignment with the attention map: gaze > N", "abstract only"),
    "N4": ("DiffROAR: regularised > N", "abstract only"),
    "N5": ("Robustness to attacks on the interpretation: regularised > N", "abstract only"),
    "N6": ("Stability: regularised > N, at a small accuracy cost", "abstract only"),
    "T1": ("Accuracy is preserved (MA against N)", "abstract only; our reading of MA"),
    "T2": ("The gradient field is smoother", "abstract only; our reading of MA"),
    "T3": (
        "Overfitting is controlled: a smaller gap of training and test accuracy",
        "abstract only; our reading of MA",
    ),
    "T4": ("Explanations are robust to perturbations never trained on", "abstract only; our reading of MA"),
    "T5": ("Less dependence on outliers", "abstract only; our reading of MA"),
    "T6": ("The maps are more reliable: nearer to the known truth", "abstract only; our reading of MA"),
}

ATTACKED = "Top-k intersection under the top-k attack"
NO_TWINS = "needs arms trained with data.label_noise, measured together with the same arms without it"
NO_TRUTH = "needs images of which the relevant pixels are known (data: block_fashion)"


def further_relations(runs: Sequence[Run]) -> Iterator[Relation]:
    """N1–N6 if an NRAT arm is among the runs, T1–T6 if natural training with misalignment is."""
    roles = {run.role for run in runs}
    if roles & set(NRAT):
        yield from _nrat(runs, "gradient", [arm for arm in NRAT if arm in roles])
    if "MA" in roles:
        yield from _t2e(runs, "gradient")


def _nrat(runs: Sequence[Run], name: str, arms: Sequence[str]) -> Iterator[Relation]:
    def above_n(measure: Measure, wanted: Sequence[str] = arms) -> list[Part]:
        found = [part_of(runs, measure, arm, "N", rule=above(), claim=f"{arm} > N") for arm in wanted if arm in arms]
        return found or [unmeasured(f"no run plays the role {listing(list(wanted))}")]

    natural, claim = measures.natural_accuracy(), f"loses at most {SMALL_COST:g} points"
    kept = [part_of(runs, natural, arm, "N", rule=at_least(-SMALL_COST), claim=f"{arm} {claim}") for arm in arms]
    parts = {
        "N1": above_n(measures.column(name, "gini", "Gini"), ("L1", "EN")),
        "N2": above_n(measures.column(name, "group_gini", "Gini over blocks"), ("GN",)),
        "N3": above_n(measures.column(name, "energy_inside", "Energy inside the attention map"), ("GZ",)),
        "N4": [_scalar(runs, lambda run: run.diffroar.get(name), "DiffROAR", arm, "N", f"{arm} > N") for arm in arms],
        "N5": above_n(measures.column(name, "top_k_intersection", ATTACKED)),
        "N6": above_n(measures.levels_mean(name, "ssim", "SSIM")) + kept,
    }
    for key, found in parts.items():
        context = above_n(diffroad(name)) if key == "N4" else []
        yield relation(key, PUBLISHED[key], attribution_name(name), found, context=context)


def _t2e(runs: Sequence[Run], name: str) -> Iterator[Relation]:
    def better(measure: Measure, claim: str, rule: Rule | None = None) -> Part:
        return part_of(runs, measure, "MA", "N", rule=rule or above(), claim=claim)

    rough = measures.column(name, "curvature", "log10 of direction curvature", statistic="log10_median", decimals=2)
    smoother = part_of(runs, rough, "N", "MA", rule=above(-log10(1 - SMOOTHER)), claim="curvature 30 % below N's")
    parts = {
        "T1": [better(measures.natural_accuracy(), f"loses at most {PRESERVED:g} point", at_least(-PRESERVED))],
        "T2": [smoother],
        "T3": _controlled(runs),
        "T4": [
            better(held_out(name, "cosine", "Cosine"), "cosine, held-out perturbations, above N's"),
            better(measures.column(name, "top_k_intersection", ATTACKED), "top-k intersection under attack above N's"),
        ],
        "T5": [_independent(runs, name)],
        "T6": [better(truth(name), "precision above N's") if knows_truth(runs) else unmeasured(NO_TRUTH)],
    }
    for key, found in parts.items():
        yield relation(key, PUBLISHED[key], attribution_name(name), found)


def _controlled(runs: Sequence[Run]) -> list[Part]:
    """The overfitting gap and, where labels were flipped on purpose, their memorisation."""
    gap = _scalar(runs, overfitting_gap, "The overfitting gap", "N", "MA", "gap below N's")
    if all(memorisation(run) is None for run in runs):
        return [gap]
    return [gap, _scalar(runs, memorisation, "Memorisation of wrong labels", "N", "MA", "memorisation below N's")]


def _independent(runs: Sequence[Run], name: str) -> Part:
    turned = measures.column(name, "outlier_dependence", "Dependence on wrong labels", direction="↓")
    if all(turned.sample(run) is None for run in runs):
        return unmeasured(NO_TWINS)
    return part_of(runs, turned, "N", "MA", rule=above(), claim="dependence below N's")


def memorisation(run: Run) -> float | None:
    """Share of the wrong training labels that are predicted, in points; None where no label was flipped."""
    found = run.measurement.get("memorisation")
    return None if found is None else 100 * float(found)


def overfitting_gap(run: Run) -> float | None:
    """Training accuracy minus test accuracy, in points; None if the first was not measured."""
    train, test = run.measurement.get("train_accuracy"), run.accuracy.values["correct"]
    return None if train is None else 100 * (float(train) - float(test.mean()))


def _scalar(
    runs: Sequence[Run], value: Callable[[Run], float | None], label: str, first: str, second: str, claim: str
) -> Part:
    return part(claim, scalar_contrast(runs, value, label, first, second), above())
