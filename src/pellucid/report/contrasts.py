"""Differences between two roles: paired over images inside one seed, or over seeds where there are several."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

import numpy as np

from pellucid.report import measures
from pellucid.report.arms import Column, runs_of, table
from pellucid.report.measures import Measure
from pellucid.report.runs import Run
from pellucid.report.words import count, interval, listing, number
from pellucid.statistics import Estimate, detectable_difference, equal_within, hierarchical_difference, paired_test
from pellucid.statistics.ring import ring_pseudovalues


@dataclass(frozen=True)
class Difference:
    """aggregate(first) - aggregate(second), in the measure's shown unit.

    With one pair of runs the interval is a paired bootstrap over images; with several pairs (one a seed) it is
    Student's t over the seeds' differences, because images inside a seed cannot speak for other seeds. That interval
    is about these images; `anew` is about others, too.
    """

    first: str
    second: str
    estimate: Estimate
    images: int
    seeds: int
    gaps: tuple[float, ...] = ()
    """The difference of each seed, where there are several; its pseudovalue, where a number is of two seeds."""
    resample: Callable[[], Estimate | None] = field(default=lambda: None, repr=False, compare=False)
    """Finds `anew`, which few readers ask for."""

    @cached_property
    def anew(self) -> Estimate | None:
        """The same with an interval over seeds and images, where there are several independent seeds."""
        return self.resample()

    @property
    def on_these_images(self) -> bool:
        """Whether the seeds show a difference that another sample of images need not show."""
        if self.anew is None or np.isnan(self.anew.low):
            return False
        return self.estimate.excludes(0) and not self.anew.excludes(0)

    @property
    def basis(self) -> str:
        """On what the interval rests."""
        images = count(self.images, "shared image")
        return images if self.seeds == 1 else f"{count(self.seeds, 'seed')}, {images} each"

    def limits(self, decimals: int | None) -> str:
        """Where the seeds show no difference: how small a one they could have shown, and how equal the two are.

        Where they show one on these images only: its interval over other images, too.
        """
        if self.on_these_images and self.anew is not None:
            return f"on other images, too: {interval(self.anew.low, self.anew.high, decimals, signed=True)}"
        if self.seeds < 2 or self.estimate.excludes(0) or np.isnan(self.estimate.low):
            return ""
        smallest = detectable_difference(paired_test(self.gaps).spread, seeds=self.seeds)
        return f"detectable: {number(smallest, decimals)}; equal within ±{number(equal_within(self.gaps), decimals)}"


def between(first: Column, second: Column, measure: Measure) -> Difference | str:
    """The difference between two columns, paired by seed where one is an arm, or why there is none."""
    if isinstance(first, Run) and isinstance(second, Run):
        pairs = [(first, second)]
    else:
        ones, twos = ({run.seed: run for run in runs_of([one])} for one in (first, second))
        pairs = [(ones[seed], twos[seed]) for seed in sorted(ones.keys() & twos.keys())]
    if not pairs:
        return f"no {first.name} and {second.name} share a seed"
    return contrast_pairs(pairs, measure, first.name, second.name)


def contrast(runs: Sequence[Run], measure: Measure, first: str, second: str) -> Difference | str:
    """The difference between two roles among comparable `runs`, or why there is none."""
    pairs = pair_runs(runs, first, second)
    return pairs if isinstance(pairs, str) else contrast_pairs(pairs, measure, first, second)


def contrast_pairs(pairs: Sequence[tuple[Run, Run]], measure: Measure, first: str, second: str) -> Difference | str:
    """The difference over given pairs of runs, one pair a seed, or why there is none."""
    known = [found for found in (measures.gap(measure, one, two) for one, two in pairs) if found is not None]
    if len(known) < len(pairs):
        both = any(measure.sample(run) is not None for pair in pairs for run in pair)
        return f"{measure.label} was not measured{' for both on the same images' if both else ''}"
    images = min(shared for _, shared in known)
    if images < 2:
        return f"{measure.label} is defined for {count(images, 'shared image')} only"
    over_images = measures.difference(measure, *pairs[0]) if len(pairs) == 1 else None
    if over_images is not None:
        return Difference(first, second, _scaled(over_images, measure.factor), images, 1)
    gaps = tuple(measure.factor * value for value, _ in known)
    if measure.of_two_seeds and len(gaps) < 3:
        return f"{measure.label} is one pair of seeds' models, and needs three seeds to vary"
    if measure.of_two_seeds:
        return _over_seeds(first, second, ring_pseudovalues(gaps), images)
    return replace(_over_seeds(first, second, gaps, images), resample=partial(_anew, pairs, measure))


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
    images = min(len(one.accuracy.ids) for one, _ in pairs)
    return _over_seeds(first, second, gaps, images)


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


def _over_seeds(first: str, second: str, gaps: Iterable[float], images: int) -> Difference:
    listed = tuple(map(float, gaps))
    return Difference(first, second, paired_test(listed).estimate, images, len(listed), listed)


def _anew(pairs: Sequence[tuple[Run, Run]], measure: Measure) -> Estimate | None:
    """The difference over the pairs with an interval over seeds and images; None where the runs' levels differ."""
    values = table(measure, [run for side in zip(*pairs, strict=True) for run in side])
    if values is None:
        return None
    first, second = values[: len(pairs)], values[len(pairs) :]
    undefined = (np.isnan(first) | np.isnan(second)).reshape(*first.shape[:2], -1)
    shared = ~undefined.all(axis=(0, 2))
    statistic = measures.resampled_statistic(measure)
    return _scaled(hierarchical_difference(first[:, shared], second[:, shared], statistic=statistic), measure.factor)


def _scaled(estimate: Estimate, factor: float) -> Estimate:
    low, value, high = (factor * number for number in (estimate.low, estimate.value, estimate.high))
    return Estimate(value, low, high, estimate.n, estimate.dropped)
