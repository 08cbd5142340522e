"""Which images drive the difference between two arms."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pellucid.report.arms import Arm, table
from pellucid.report.measures import Measure
from pellucid.report.reading import Floats, Ids
from pellucid.report.runs import Run
from pellucid.statistics.intervals import aggregate

SHOWN = 8
FEW = 0.05
"""The share of images whose weight is told: a difference that rests on them is one of those images."""


@dataclass(frozen=True)
class Driver:
    """One image: the mean over seeds of both arms (and over levels, where there are any), in the shown unit."""

    image: int
    label: str
    first: float
    second: float

    @property
    def difference(self) -> float:
        """Of first, minus second."""
        return self.first - self.second


@dataclass(frozen=True)
class Drivers:
    """The images with the largest differences in the direction of the arms' difference, and what is left without them.

    Attributes
    ----------
    total
        The measure's statistic over images of first, minus that of second.
    few, without
        How many images 5 % are, and `total` without the 5 % that drive it most.
    agreeing
        Share of the images that differ in the direction of `total`, in [0, 1].
    """

    measure: Measure
    first: str
    second: str
    images: tuple[Driver, ...]
    total: float
    few: int
    without: float
    agreeing: float


def drivers(first: Arm, second: Arm, measure: Measure) -> Drivers | None:
    """What drives first - second over the seeds that both have; None where they share no measured image."""
    seeds = {run.seed for run in first.runs} & {run.seed for run in second.runs}
    chosen = [[run for run in arm.runs if run.seed in seeds] for arm in (first, second)]
    found = [_by_image(measure, runs) for runs in chosen]
    if found[0] is None or found[1] is None:
        return None
    ids, left, right = np.intersect1d(found[0][0], found[1][0], return_indices=True)
    values = np.stack([found[0][1][left], found[1][1][right]])
    known = ~np.isnan(values).any(axis=0)
    ids, values = ids[known], measure.factor * values[:, known]
    if len(ids) < 2:
        return None
    total = _difference(values, measure)
    order = np.argsort(-np.sign(total) * (values[0] - values[1]), kind="stable")
    few = max(1, round(FEW * len(ids)))
    shown = [
        Driver(int(image), _class(chosen[0], int(image)), float(one), float(two))
        for image, one, two in zip(ids[order[:SHOWN]], *values[:, order[:SHOWN]], strict=True)
    ]
    return Drivers(
        measure,
        first.name,
        second.name,
        tuple(shown),
        total,
        few,
        _difference(values[:, order[few:]], measure),
        float((np.sign(values[0] - values[1]) == np.sign(total)).mean()),
    )


def _difference(values: Floats, measure: Measure) -> float:
    """Of per-image numbers [2, n]: a log of means is left to the table, images add up on the plain scale."""
    statistic = "median" if "median" in measure.statistic else "mean"
    return aggregate(values[0], statistic) - aggregate(values[1], statistic)


def _by_image(measure: Measure, runs: Sequence[Run]) -> tuple[Ids, Floats] | None:
    values = table(measure, runs)
    if values is None:
        return None
    flat = values.reshape(*values.shape[:2], -1)
    known = ~np.isnan(flat)
    totals, counts = np.where(known, flat, 0.0).sum(axis=(0, 2)), known.sum(axis=(0, 2))
    ids = np.unique(np.concatenate([sample[0] for run in runs if (sample := measure.sample(run)) is not None]))
    return ids, np.divide(totals, counts, out=np.full(len(ids), np.nan), where=counts > 0)


def _class(runs: Sequence[Run], image: int) -> str:
    """The image's class, from the accuracy's columns; empty where they do not hold it."""
    for run in runs:
        labels, found = run.accuracy.values.get("label"), np.flatnonzero(run.accuracy.ids == image)
        if labels is not None and len(found):
            return run.class_name(int(labels[found[0]]))
    return ""
