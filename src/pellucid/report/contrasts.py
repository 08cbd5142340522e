"""Differences between two roles: paired over images inside one seed, or over seeds where there are several."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pellucid.report import measures
from pellucid.report.measures import Measure
from pellucid.report.runs import Run
from pellucid.report.words import count, listing
from pellucid.statistics import Estimate, student


@dataclass(frozen=True)
class Difference:
    """aggregate(first) - aggregate(second), in the measure's shown unit.

    With one pair of runs the interval is a paired bootstrap over images; with several pairs (one a seed) it is
    Student's t over the seeds' differences, because images inside a seed cannot speak for other seeds.
    """

    first: str
    second: str
    estimate: Estimate
    images: int
    seeds: int

    @property
    def basis(self) -> str:
        """On what the interval rests."""
        images = count(self.images, "shared image")
        return images if self.seeds == 1 else f"{count(self.seeds, 'seed')}, {images} each"


def contrast(runs: Sequence[Run], measure: Measure, first: str, second: str) -> Difference | str:
    """The difference between two roles among comparable `runs`, or why there is none."""
    pairs = pair_runs(runs, first, second)
    return pairs if isinstance(pairs, str) else contrast_pairs(pairs, measure, first, second)


def contrast_pairs(pairs: Sequence[tuple[Run, Run]], measure: Measure, first: str, second: str) -> Difference | str:
    """The difference over given pairs of runs, one pair a seed, or why there is none."""
    found = [measures.difference(measure, one, two) for one, two in pairs]
    known = [estimate for estimate in found if estimate is not None]
    if len(known) < len(pairs):
        both = any(measure.sample(run) is not None for pair in pairs for run in pair)
        return f"{measure.label} was not measured{' for both on the same images' if both else ''}"
    images = min(estimate.n for estimate in known)
    if images < 2:
        return f"{measure.label} is defined for {count(images, 'shared image')} only"
    shown = [_scaled(estimate, measure.factor) for estimate in known]
    total = shown[0] if len(shown) == 1 else student([estimate.value for estimate in shown])
    return Difference(first, second, total, images, len(pairs))


def seed_differences(runs: Sequence[Run], measure: Measure, first: str, second: str) -> list[float] | str:
    """The difference of each pair of runs with one seed, in the measure's shown unit, or why there is none."""
    pairs = pair_runs(runs, first, second)
    if isinstance(pairs, str):
        return pairs
    found = [measures.difference(measure, one, two) for one, two in pairs]
    known = [measure.factor * estimate.value for estimate in found if estimate is not None]
    return known if len(known) == len(pairs) else f"{measure.label} was not measured"


def scalar_contrast(
    runs: Sequence[Run], value: Callable[[Run], float | None], label: str, first: str, second: str
) -> Difference | str:
    """The difference in a number that a run has one of: Student's t over at least two paired seeds."""
    pairs = pair_runs(runs, first, second)
    if isinstance(pairs, str):
        return pairs
    gaps = [one - two for one, two in ((value(a), value(b)) for a, b in pairs) if one is not None and two is not None]
    if len(gaps) < len(pairs):
        return f"{label} was not measured"
    if len(gaps) < 2:
        return f"{label} is one number a run, so its interval needs at least two seeds"
    return Difference(first, second, student(gaps), min(len(one.accuracy.ids) for one, _ in pairs), len(gaps))


def pair_runs(runs: Sequence[Run], first: str, second: str) -> list[tuple[Run, Run]] | str:
    """The runs of two roles with equal seeds, or why they cannot be paired."""
    ones, twos = _by_seed(runs, first), _by_seed(runs, second)
    if isinstance(ones, str):
        return ones
    if isinstance(twos, str):
        return twos
    shared = sorted(ones.keys() & twos.keys())
    return [(ones[seed], twos[seed]) for seed in shared] or f"no {first} and {second} share a seed"


def _by_seed(runs: Sequence[Run], role: str) -> dict[int, Run] | str:
    """One run a seed. Blocks after several layers: the first layer counts, as the paper inserts its block there."""
    chosen: dict[int, Run] = {}
    for seed in sorted({run.seed for run in runs if run.role == role}):
        found = [run for run in runs if run.role == role and run.seed == seed]
        depths = [depth(run) for run in found]
        if len(found) > 1 and (None in depths or len(set(depths)) < len(found)):
            return f"several runs play the role {role} with seed {seed} ({listing([run.name for run in found])})"
        chosen[seed] = min(found, key=lambda run: depth(run) or ("", 0))
    return chosen or f"no run plays the role {role}"


def depth(run: Run) -> tuple[str, int] | None:
    """Where the block stands, as (stage name, number), so that pool1 < pool2; None if the name has no number."""
    layer = run.layer or ""
    stem = layer.rstrip("0123456789")
    return (stem, int(layer[len(stem) :])) if len(stem) < len(layer) else None


def _scaled(estimate: Estimate, factor: float) -> Estimate:
    low, value, high = (factor * number for number in (estimate.low, estimate.value, estimate.high))
    return Estimate(value, low, high, estimate.n, estimate.dropped)
