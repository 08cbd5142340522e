"""Arms: the runs of one recipe with several seeds, as one column of a table and one colour of a figure.

Wherever the report says `columns`, each is a run (its numbers vary over images) or an arm (over images and seeds).
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from pellucid.report import measures
from pellucid.report.facts import config_differences, recipe
from pellucid.report.measures import Measure, Sample
from pellucid.report.reading import Floats
from pellucid.report.runs import Run
from pellucid.statistics import Estimate, hierarchical
from pellucid.statistics.intervals import aggregate


@dataclass(frozen=True)
class Arm:
    """Runs that share a setting and everything in their configs but the seed.

    Attributes
    ----------
    name, role, meaning
        As of a run; the name adds what sets the arm apart from others of its role.
    runs
        In the order of their seeds.
    """

    name: str
    role: str
    meaning: str
    runs: tuple[Run, ...]


Column: TypeAlias = Run | Arm


def runs_of(columns: Iterable[Column]) -> list[Run]:
    """Every run of the columns."""
    return [run for one in columns for run in ((one,) if isinstance(one, Run) else one.runs)]


def representatives(columns: Iterable[Column]) -> list[Run]:
    """One run a column, called like it: of an arm the one with the smallest seed."""
    return [one if isinstance(one, Run) else replace(one.runs[0], name=one.name) for one in columns]


def in_arms(runs: Sequence[Run]) -> bool:
    """Whether some recipe was trained with several seeds, as in a grid."""
    return any(len({run.seed for run in members}) > 1 for members in _recipes(runs))


def arms_of(runs: Sequence[Run]) -> list[Arm]:
    """The arms of runs that share a setting, in the runs' order."""
    groups = _recipes(runs)
    shared = Counter(members[0].role for members in groups)
    return [
        Arm(_name(members, groups, shared), members[0].role, members[0].meaning, tuple(members)) for members in groups
    ]


def estimate(measure: Measure, column: Column) -> Estimate | None:
    """The number of a column with its interval, in stored units: over images for a run, also over seeds for an arm.

    None if it was not measured. For an arm `n` counts seeds.
    """
    if isinstance(column, Run):
        return measures.estimate(measure, column)
    values = table(measure, column.runs)
    if values is None:
        return None
    found = hierarchical(values, statistic=measures.resampled_statistic(measure))
    if measure.statistic != "share":
        return found
    low, high = np.clip([found.low, found.high], 0, 1)  # few seeds: Student's interval would leave what a share can be
    return replace(found, low=float(low), high=float(high))


def seed_values(measure: Measure, column: Column) -> list[float]:
    """One number a run, in the measure's shown unit, NaN where it has none."""
    samples = [measure.sample(run) for run in runs_of([column])]
    statistic = measures.resampled_statistic(measure)
    return [np.nan if one is None else measure.factor * aggregate(one[1], statistic) for one in samples]


def table(measure: Measure, runs: Sequence[Run]) -> Floats | None:
    """The values [seeds, images] or [seeds, images, levels] of the runs that have them, NaN where a run lacks an image.

    None where no run has the measure.
    """
    samples = [sample for sample in (measure.sample(run) for run in runs) if sample is not None]
    shapes = {values.shape[1:] for _, values in samples}
    if len(shapes) != 1:
        return None
    ids = np.unique(np.concatenate([found for found, _ in samples]))
    return np.stack([_placed(sample, ids) for sample in samples])


def values_by_arm(measure: Measure, arms: Sequence[Arm]) -> dict[str, Floats]:
    """The table of each arm that has the measure, over the images that at least one run of the arms has a value for.

    An image that no run has a value for was not measured; one that some run lacks is undefined there.
    """
    everything = table(measure, runs_of(arms))
    if everything is None:
        return {}
    seen = ~np.isnan(everything).reshape(*everything.shape[:2], -1).all(axis=(0, 2))
    owners = np.array([arm.name for arm in arms for run in arm.runs if measure.sample(run) is not None])
    return {arm.name: everything[owners == arm.name][:, seen] for arm in arms if arm.name in owners}


def _placed(sample: Sample, ids: Any) -> Floats:
    found, values = sample
    placed = np.full((len(ids), *values.shape[1:]), np.nan)
    placed[np.searchsorted(ids, found)] = values
    return placed


def _recipes(runs: Sequence[Run]) -> list[list[Run]]:
    groups: dict[str, list[Run]] = {}
    for run in runs:
        key = json.dumps([run.setting, run.role, recipe(run.config)], sort_keys=True)
        groups.setdefault(key, []).append(run)
    return [sorted(members, key=lambda run: run.seed) for members in groups.values()]


def _name(members: Sequence[Run], groups: Sequence[Sequence[Run]], shared: Counter[str]) -> str:
    """`G`; or `G (training.epochs 12)` where there are several arms of the role."""
    role = members[0].role
    if shared[role] == 1:
        return role
    firsts = [others[0] for others in groups if others[0].role == role]
    place = next(index for index, first in enumerate(firsts) if first is members[0])
    told = [f"{fact.label} {fact.values[place]}" for fact in config_differences(firsts) if fact.label != "seed"]
    return f"{role} ({', '.join(told)})"
