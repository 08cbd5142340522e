"""Rows of the further measurements: misalignment, groups, held-out perturbations, attacks, alignment, DiffROAD."""

from collections.abc import Sequence

from pellucid.report import measures
from pellucid.report.measures import Direction, Measure, Sample
from pellucid.report.runs import Run

ATTACKS = {
    "top_k": "top-k attack",
    "mass_centre": "mass-centre attack",
    "target_region": "target-region attack",
    "random": "random perturbation (control)",
}
SCORES: dict[str, tuple[str, Direction]] = {
    "intersection": ("Top-k intersection", "↑"),
    "spearman": ("Spearman", "↑"),
    "kendall": ("Kendall", "↑"),
    "shift": ("Centre shift in pixels", "↓"),
}
NOT_ATTACKED = "not attacked, or the map is zero"
CHANGED = "the perturbation changed the prediction, or the map is zero"


def evidence_measures(runs: Sequence[Run], name: str) -> list[tuple[Measure, bool]]:
    """(measure, is it a detail) in the order of the table; rows that no run has are left out by the table."""
    column = measures.column
    found = [
        (column(name, "misalignment", "Misalignment (MA-1)", direction="↓", undefined="no gradient"), False),
        (column(name, "relative_misalignment", "Relative misalignment (MA-3)", direction="↓"), True),
        (column(name, "curvature", "Direction curvature, differences", direction="↓", undefined="no gradient"), False),
        (column(name, "curvature_hvp", "Direction curvature, Hessian", direction="↓", undefined="no gradient"), True),
        (column(name, "group_gini", "Gini over blocks", direction="↑"), False),
        (column(name, "quiet_groups", "Blocks below a tenth of the largest", direction="↑"), True),
        (column(name, "outlier_dependence", "Dependence on wrong labels", direction="↓"), False),
        *_held_out(runs, name),
    ]
    for attack, spelled in ATTACKS.items():
        for score, (label, direction) in SCORES.items():
            key = f"{attack}_{score}"
            measure = column(name, key, f"{label}, {spelled}", direction=direction, undefined=NOT_ATTACKED)
            found.append((measure, score != "intersection"))
    alignment = {
        "energy_inside": "Energy inside the attention map",
        "auc": "AUC against the attention map",
        "nss": "NSS",
        "pointing_game": "Pointing game",
        "precision_at_truth": "Precision at the attended or relevant pixels",
    }
    found += [
        (column(name, key, label, direction="↑", undefined="zero map or empty attention"), key == "nss")
        for key, label in alignment.items()
    ]
    return [*found, (diffroad(name), False)]


def knows_truth(runs: Sequence[Run]) -> bool:
    """Whether the images are such that the relevant pixels are known."""
    return str(runs[0].manifest["data"]["name"]).replace("-", "_") == "block_fashion"


def truth(name: str) -> Measure:
    """Of the pixels known to be relevant, the share among as many most salient ones."""
    return measures.column(name, "precision_at_truth", "Precision at the known pixels", direction="↑")


def held_out(name: str, key: str, label: str, perturbation: str | None = None) -> Measure:
    """A similarity under one held-out perturbation, or its mean over all of them."""
    inner = measures.column(name, f"held_out_{key}", label)

    def sample(run: Run) -> Sample | None:
        found, names = inner.sample(run), list(run.measurement.get("held_out") or [])
        if found is None or perturbation is None:
            return found
        return (found[0], found[1][:, names.index(perturbation)]) if perturbation in names else None

    suffix = "mean" if perturbation is None else perturbation
    return Measure(f"held_out_{key}_{suffix}", label, sample, "mean", "↑", "", 3, CHANGED)


def diffroad(name: str) -> Measure:
    """Kept most against kept least important coordinates, mean over the levels, without retraining."""
    inner = measures.column(name, "diffroad", "DiffROAD, mean of levels", direction="↑")
    return Measure("diffroad", inner.label, inner.sample, "mean", "↑", "", 3, "", "mean over levels and images")


def _held_out(runs: Sequence[Run], name: str) -> list[tuple[Measure, bool]]:
    perturbations = dict.fromkeys(str(one) for run in runs for one in run.measurement.get("held_out") or [])
    found = []
    for key, label in (("ssim", "SSIM"), ("spearman", "Spearman"), ("cosine", "Cosine")):
        found.append((held_out(name, key, f"{label}, mean of held-out perturbations"), key != "ssim"))
        found += [
            (held_out(name, key, f"{label}, {one.replace('_', ' ')}", one), True)
            for one in perturbations
            if key == "ssim"
        ]
    return found
