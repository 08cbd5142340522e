"""What the gate can test: metrics by name, the loss that does not matter, and what another seed alone does."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pellucid.errors import BadInput, unknown_name
from pellucid.report import measures
from pellucid.report.contents import attribution_names
from pellucid.report.evidence import diffroad, held_out
from pellucid.report.measures import Measure
from pellucid.report.runs import Run


@dataclass(frozen=True)
class Metric:
    """A kind of number, measured once a run (accuracies) or once an attribution.

    Attributes
    ----------
    of
        attribution -> measure; accuracies take any.
    margin
        The loss that does not matter, in stored units (shares for accuracies, log10 for ROS).
    seed_noise
        Standard deviation between seeds of one recipe, in stored units: the largest of the 39 arms (3 or 5 seeds each)
        behind docs/results, rounded up.
    default
        Whether it is tested where nothing else is asked for.
    """

    of: Callable[[str], Measure]
    margin: float
    seed_noise: float
    default: bool = True


def _column(key: str, label: str, direction: measures.Direction, undefined: str = "") -> Callable[[str], Measure]:
    return lambda name: measures.column(name, key, label, direction=direction, undefined=undefined)


def _levels(key: str, label: str) -> Callable[[str], Measure]:
    return lambda name: measures.levels_mean(name, key, f"{label}, mean of noise levels")


def _ros(name: str) -> Measure:
    return measures.column(
        name,
        "ros_norm",
        "ROS-norm, log10 of median",
        statistic="log10_median",
        direction="↓",
        undefined="draws changed the prediction",
    )


OF_RUNS = {
    "accuracy": Metric(lambda _: measures.natural_accuracy(), 0.01, 0.013),
    "robust_accuracy": Metric(lambda _: measures.robust_accuracy(), 0.01, 0.05),
}
OF_MAPS = {
    "gini": Metric(_column("gini", "Gini", "↑"), 0.01, 0.05),
    "ssim": Metric(_levels("ssim", "SSIM"), 0.02, 0.065),
    "ros": Metric(_ros, 0.04, 0.3),
    "road": Metric(measures.aopc, 0.01, 0.07),
    "spearman": Metric(_levels("spearman", "Spearman"), 0.02, 0.04, default=False),
    "cosine": Metric(_levels("cosine", "Cosine"), 0.02, 0.075, default=False),
    "held_out": Metric(
        lambda name: held_out(name, "ssim", "SSIM, mean of held-out perturbations"), 0.02, 0.04, default=False
    ),
    "top_k": Metric(_column("top_k_intersection", "Top-k intersection under attack", "↑"), 0.02, 0.05, default=False),
    "misalignment": Metric(_column("misalignment", "Misalignment (MA-1)", "↓"), 0.02, 0.05, default=False),
    "diffroad": Metric(diffroad, 0.02, 0.1, default=False),
}
METRICS = OF_RUNS | OF_MAPS


@dataclass(frozen=True)
class Tested:
    """One number that the gate looks at: `gradient.gini`, `accuracy`; margin and noise in stored units."""

    key: str
    measure: Measure
    margin: float
    seed_noise: float


def parse(wanted: Sequence[str]) -> dict[str, float | None]:
    """`["gini:0.02", "integrated_gradients.ssim"]` as names and margins, None where the default holds.

    Raises
    ------
    BadInput
        For an unknown metric, or a margin that is no number >= 0.
    """
    found: dict[str, float | None] = {}
    for text in wanted:
        name, colon, margin = text.partition(":")
        if name.rpartition(".")[2] not in METRICS:
            raise unknown_name("metric of the gate", name, METRICS)
        found[name] = _margin(text, margin) if colon else None
    return found


def _margin(text: str, margin: str) -> float:
    try:
        value = float(margin)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise BadInput(f"'{text}' names no margin: write NAME:MARGIN with a number >= 0, as in gini:0.01")
    return value


def tested(runs: Sequence[Run], wanted: Mapping[str, float | None]) -> list[Tested]:
    """Every number that `wanted` names, or the default ones; those that no run has are among them."""
    everything = [(name, "", metric) for name, metric in OF_RUNS.items()]
    everything += [(name, of, metric) for of in attribution_names(runs) for name, metric in OF_MAPS.items()]
    found = []
    for name, of, metric in everything:
        key = f"{of}.{name}" if of else name
        asked = next((one for one in (key, name) if one in wanted), None)
        if asked is None and (wanted or not metric.default):
            continue
        margin = metric.margin if asked is None or wanted[asked] is None else wanted[asked]
        found.append(Tested(key, metric.of(of), float(margin or 0.0), metric.seed_noise))
    missed = [name for name in wanted if not any(name in {one.key, one.key.rpartition(".")[2]} for one in found)]
    if missed:
        raise BadInput(f"no run was measured with the attribution of '{missed[0]}': measured are {_names(runs)}")
    return found


def _names(runs: Sequence[Run]) -> str:
    return ", ".join(attribution_names(runs)) or "none"
