"""The methods paragraph and the reproducibility appendix, written from what the runs say of themselves."""

from collections.abc import Sequence

from pellucid.report.arms import Arm, runs_of
from pellucid.report.contents import attribution_names, images_note
from pellucid.report.facts import measurement_facts, provenance_facts
from pellucid.report.reading import lookup
from pellucid.report.runs import Run
from pellucid.report.sheets import Entry, Sheet
from pellucid.report.words import DASH, attribution_name, count, listing, number
from pellucid.statistics import detectable_difference


def methods(arms: Sequence[Arm]) -> list[str]:
    """Paragraphs for a paper: data and training, measurement, statistics. Nothing that no run says is in them."""
    runs = runs_of(arms)
    return [_training(arms, runs), _measurement(runs), _statistics(arms)]


def _training(arms: Sequence[Arm], runs: Sequence[Run]) -> str:
    data, first = runs[0].manifest["data"], runs[0]
    sizes = listing([f"{data[split]:,} {split}" for split in ("train", "validation", "test") if split in data])
    recipes = "; ".join(f"{arm.name}: {arm.meaning}{_epsilon(arm)}{_weights(arm)}{_block(arm)}" for arm in arms)
    training = first.config.get("training") or {}
    optimiser = training.get("optimizer") or {}
    parts = [
        f"We trained {lookup(first.manifest, 'model.name')} on {data['name']}"
        + (f" ({sizes} images, {len(data['classes'])} classes)" if sizes else "")
        + f" by {count(len(arms), 'recipe')}: {recipes}.",
        f"Every recipe was trained with {_seeds(arms)}; models with the same seed started from the same weights and "
        "saw the images in the same order, so that seeds pair the recipes.",
    ]
    if training.get("epochs") and optimiser.get("name"):
        schedule = lookup(training, "schedule.name")
        length = "max_steps" if training.get("max_steps") else "epochs"
        parts.append(
            f"Training took {_common(runs, f'training.{length}')} {length.removeprefix('max_')} with batches of "
            f"{_common(runs, 'training.batch_size')} images, {_common(runs, 'training.optimizer.name')} "
            f"(learning rate {_common(runs, 'training.optimizer.lr')}"
            + (f", schedule {str(schedule).replace('_', ' ')}" if schedule else "")
            + ")."
        )
    return " ".join(parts)


def _measurement(runs: Sequence[Run]) -> str:
    attack = runs[0].measurement["robustness"]
    names = listing([attribution_name(name).lower() for name in attribution_names(runs)])
    parts = [f"{images_note(runs)} Maps: {names}."]
    if attack.get("eps") is not None:
        norm = {"linf": "L∞", "l2": "L2"}.get(str(attack.get("norm")), str(attack.get("norm")))
        restarts = f" and {count(attack['restarts'], 'restart')}" if attack.get("restarts") else ""
        images = f" on {attack['images']:,} test images" if attack.get("images") else ""
        parts.append(
            f"Robust accuracy: PGD in the {norm} ball of radius {attack['eps']:g} (pixel values in [0, 1]) with "
            f"{attack.get('steps')} steps{restarts}{images}."
        )
    return " ".join(parts)


def _statistics(arms: Sequence[Arm]) -> str:
    seeds = min(len(arm.runs) for arm in arms)
    text = (
        "Numbers are means over seeds of the aggregate over images. Their 95 % intervals come from a hierarchical "
        "bootstrap in which seeds and images are crossed (Owen 2007), with Student's t and Satterthwaite's degrees of "
        "freedom. Recipes were compared by two-sided paired t-tests over seeds, with Holm's correction for all pairs "
        "of recipes within a metric; false discovery rates over all metrics follow Benjamini and Hochberg. Effect "
        "sizes are Hedges's g of the paired differences. Equality was tested by two one-sided tests at 5 %."
    )
    if seeds < 2:
        return text
    smallest = detectable_difference(1.0, seeds=seeds)
    return (
        f"{text} With {seeds} seeds a difference of {number(smallest, 2)} standard deviations of the paired "
        "differences is found with a probability of 80 %."
    )


def _seeds(arms: Sequence[Arm]) -> str:
    numbers = {tuple(run.seed for run in arm.runs) for arm in arms}
    if len(numbers) > 1:
        return f"{min(map(len, numbers))} to {max(map(len, numbers))} seeds"
    seeds = next(iter(numbers))
    return f"{count(len(seeds), 'seed')} ({', '.join(map(str, seeds))})"


def _common(runs: Sequence[Run], key: str) -> str:
    """A config's value, or all that occur."""
    return " or ".join(dict.fromkeys(str(lookup(run.config, key)) for run in runs))


def _epsilon(arm: Arm) -> str:
    eps, steps = (lookup(arm.runs[0].config, f"objective.{key}") for key in ("eps", "steps"))
    if eps is None:
        return ""
    return f" (ε = {eps:g}" + (f", {steps} steps)" if steps else ")")


def _weights(arm: Arm) -> str:
    terms = arm.runs[0].config.get("regularisers") or []
    return "".join(f", {str(term['name']).replace('_', ' ')} with weight {term['weight']:g}" for term in terms)


def _block(arm: Arm) -> str:
    return f" after {arm.runs[0].layer}" if arm.runs[0].layer else ""


def reproducibility(arms: Sequence[Arm]) -> Sheet:
    """One line a fact: what is common to all runs, and the hashes of each."""
    runs = runs_of(arms)
    rows: list[tuple[Entry, ...]] = []
    for fact in [*measurement_facts(runs), *provenance_facts(runs)]:
        if fact.common:
            rows.append((fact.label, fact.values[0], "all runs"))
        else:
            grouped = _grouped(runs, fact.values)
            rows += [(fact.label, value, listing(names)) for value, names in grouped.items()]
    return Sheet("reproducibility", "Reproducibility", ("fact", "value", "runs"), tuple(rows))


def _grouped(runs: Sequence[Run], values: Sequence[str]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for run, value in zip(runs, values, strict=True):
        if value != DASH:
            grouped.setdefault(value, []).append(run.name)
    return grouped
