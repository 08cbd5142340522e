"""Arms compared where they cost the same, or are equally accurate: at snapshots that their runs kept on the way.

A snapshot is what its run was at that step. Under a schedule that lowers the learning rate towards the end it is not
what a run of that length would have become; the notes say so.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import fmean

from pellucid.report import measures
from pellucid.report.arms import Arm, seed_values
from pellucid.report.comparisons import Comparison, compare, with_discovery
from pellucid.report.contents import trade_off_measures, trade_off_table
from pellucid.report.reading import lookup
from pellucid.report.results import ResultTable
from pellucid.report.runs import Run
from pellucid.report.words import listing, number

COST_SLACK = 1.05
"""A snapshot may cost so much more than the budget: epochs of different arms never end at the same pass."""
ACCURACY_SLACK = 2.0
"""Points of natural accuracy by which a chosen run may miss the target."""

SNAPSHOT_NOTE = (
    "A snapshot shows what a run was on the way; with a learning rate that falls towards the end, a run of that length "
    "would have become something better."
)


@dataclass(frozen=True)
class Matched:
    """One comparison: what is equal, the arms made of the chosen runs (none or several), and why others are missing."""

    name: str
    title: str
    arms: tuple[Arm, ...]
    notes: tuple[str, ...]

    @cached_property
    def table(self) -> ResultTable:
        """The trade-off of the chosen runs, a column an arm."""
        found = trade_off_table(self.arms)
        return replace(found, title=self.title, notes=(*self.notes, *found.notes, SNAPSHOT_NOTE))

    @cached_property
    def comparisons(self) -> list[Comparison]:
        """Every pair of the arms in the measures of the trade-off, paired by seed."""
        return with_discovery(one for measure in trade_off_measures(self.arms) for one in compare(self.arms, measure))


def matched(arms: Sequence[Arm]) -> list[Matched]:
    """The arms at matched cost and at matched accuracy; none without snapshots that were measured."""
    if not any(run.snapshots for arm in arms for run in arm.runs):
        return []
    return [_at_cost(arms), _at_accuracy(arms)]


def passes(run: Run) -> float:
    """Forward and backward passes that its training took, in images: what it cost on any machine."""
    each, batch = lookup(run.manifest, "cost.passes_per_image"), lookup(run.config, "training.batch_size")
    if each is None or batch is None or not run.history:
        return float("nan")
    return float(each) * float(batch) * float(run.history[-1]["step"])


def accuracy(run: Run) -> float:
    """Natural accuracy in %."""
    return seed_values(measures.natural_accuracy(), run)[0]


def candidates(run: Run) -> list[Run]:
    """Its snapshots, in their order, and the run itself."""
    return [*run.snapshots, run]


def _at_cost(arms: Sequence[Arm]) -> Matched:
    budget = COST_SLACK * min(passes(run) for arm in arms for run in arm.runs)

    def dearest(run: Run) -> Run | None:
        paid = [one for one in candidates(run) if passes(one) <= budget]
        return max(paid, key=passes, default=None)

    title = f"At matched cost: at most {number(budget / 1e6, 1)} million passes of an image"
    return _chosen("matched-cost", title, arms, dearest, "no snapshot is so cheap")


def _at_accuracy(arms: Sequence[Arm]) -> Matched:
    """The target is what the least accurate arm reaches at its best."""
    target = min(fmean([max(map(accuracy, candidates(run))) for run in arm.runs]) for arm in arms)

    def nearest(run: Run) -> Run | None:
        found = min(candidates(run), key=lambda one: abs(accuracy(one) - target))
        return found if abs(accuracy(found) - target) <= ACCURACY_SLACK else None

    title = f"At matched accuracy: within {ACCURACY_SLACK:g} points of {number(target, 1)} %"
    return _chosen("matched-accuracy", title, arms, nearest, "no snapshot is so close")


def _chosen(name: str, title: str, arms: Sequence[Arm], choose: Callable[[Run], Run | None], missing: str) -> Matched:
    """Arms of which every run has something to choose; where that is one at most, none and why."""
    kept, notes = [], []
    for arm in arms:
        found = [choose(run) for run in arm.runs]
        known = [run for run in found if run is not None]
        if len(known) < len(found):
            notes.append(f"{arm.name} is left out: {missing}.")
            continue
        kept.append(replace(arm, runs=tuple(known)))
        notes.append(f"{arm.name}: {listing(list(dict.fromkeys(_place(run) for run in known)))}.")
    if len(kept) < 2:
        notes.append("So no two arms can be compared; keep more snapshots (training.snapshots).")
    return Matched(name, title, tuple(kept) if len(kept) > 1 else (), tuple(notes))


def _place(run: Run) -> str:
    epoch = lookup(run.manifest, "snapshot.epoch")
    return "the end of training" if epoch is None else f"epoch {epoch}"
