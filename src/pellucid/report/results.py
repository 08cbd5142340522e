"""Result tables: rows are metrics, columns are models; each cell knows its interval, n and what was dropped."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pellucid.report import measures
from pellucid.report.measures import Measure
from pellucid.report.runs import Run
from pellucid.statistics import Estimate


@dataclass(frozen=True)
class Cell:
    """One number of one model, in the row's unit; `low`, `high` are NaN and `n` None where there is no interval."""

    value: float
    low: float = float("nan")
    high: float = float("nan")
    n: int | None = None
    dropped: int = 0
    why: str = ""
    best: bool = False


@dataclass(frozen=True)
class Row:
    """One metric for all models; a cell is None where the model was not measured so."""

    key: str
    group: str
    label: str
    cells: tuple[Cell | None, ...]
    unit: str = ""
    direction: str = ""
    aggregate: str = ""
    decimals: int | None = 3
    detail: bool = False


@dataclass(frozen=True)
class ResultTable:
    """Rows for the models named in `columns`. `legacy` marks the published code's definitions."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    legacy: bool = False


def measure_row(runs: Sequence[Run], measure: Measure, *, group: str, detail: bool = False) -> Row:
    """One row: every run's estimate, and the best marked where the data tell it from the second."""
    estimates = [measures.estimate(measure, run) for run in runs]
    best = _clearly_best(runs, measure, estimates)
    cells = tuple(
        None if found is None else _cell(found, measure, best=index == best) for index, found in enumerate(estimates)
    )
    return Row(
        key=measure.key,
        group=group,
        label=measure.label,
        cells=cells,
        unit=measure.unit,
        direction=measure.direction,
        aggregate=measure.aggregate,
        decimals=measure.decimals,
        detail=detail,
    )


def ranked(measure: Measure, values: Sequence[float]) -> list[int]:
    """The positions of the defined values, best first."""
    defined = [index for index, value in enumerate(values) if not np.isnan(value)]
    return sorted(defined, key=lambda index: values[index], reverse=measure.direction == "↑")


def _clearly_best(runs: Sequence[Run], measure: Measure, estimates: Sequence[Estimate | None]) -> int | None:
    order = ranked(measure, [np.nan if found is None else found.value for found in estimates])
    if not measure.direction or len(order) < 2:
        return None
    gap = measures.difference(measure, runs[order[0]], runs[order[1]])
    if gap is None:
        return None
    # The sign matters: on the images both have, the order can be the other way round than on each one's own images.
    return order[0] if (gap.low > 0 if measure.direction == "↑" else gap.high < 0) else None


def _cell(found: Estimate, measure: Measure, *, best: bool) -> Cell:
    why = measure.undefined if found.dropped else ""
    value, low, high = (measure.factor * number for number in (found.value, found.low, found.high))
    return Cell(value, low, high, found.n, found.dropped, why, best)


def measure_rows(runs: Sequence[Run], group: str, wanted: Sequence[tuple[Measure, bool]]) -> list[Row]:
    """Rows of the measures that at least one run has."""
    rows = [measure_row(runs, measure, group=group, detail=detail) for measure, detail in wanted]
    return [row for row in rows if any(cell is not None for cell in row.cells)]
