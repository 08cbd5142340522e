"""Result tables: rows are metrics, columns are models; each cell knows its interval, n and what was dropped."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pellucid.report.arms import Arm, Column, estimate, values_by_arm
from pellucid.report.comparisons import compare, not_worse
from pellucid.report.contrasts import between
from pellucid.report.measures import Measure
from pellucid.report.reading import Floats
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
    tied: bool = False
    """Not the best, and not shown to be worse than it."""
    seeds: int = 1
    undefined: float = 0.0
    """Share of undefined values, in [0, 1]; for arms among the images that any arm has a value for."""


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

    @property
    def over_seeds(self) -> bool:
        """Whether a column stands for several seeds."""
        return any(cell.seeds > 1 for row in self.rows for cell in row.cells if cell is not None)


def measure_row(columns: Sequence[Column], measure: Measure, *, group: str, detail: bool = False) -> Row:
    """One row: every column's estimate and what the data say of the best.

    Of runs, the best is marked where the data tell it from the second; of arms always, and the others that are not
    shown to be worse as tied.
    """
    estimates = [estimate(measure, column) for column in columns]
    order = ranked(measure, [np.nan if found is None else found.value for found in estimates])
    varied = len({found.value for found in estimates if found is not None}) > 1
    best, tied = _marked(columns, measure, order) if varied else (None, set())
    tables = values_by_arm(measure, [one for one in columns if isinstance(one, Arm)])
    cells = tuple(
        None
        if found is None
        else replace(_cell(found, measure, tables.get(column.name)), best=column.name == best, tied=column.name in tied)
        for column, found in zip(columns, estimates, strict=True)
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


def _marked(columns: Sequence[Column], measure: Measure, order: Sequence[int]) -> tuple[str | None, set[str]]:
    """The best column, and those that are tied with it."""
    if not measure.direction or len(order) < 2:
        return None, set()
    first, second = columns[order[0]], columns[order[1]]
    arms = [one for one in columns if isinstance(one, Arm)]
    if arms:
        return first.name, not_worse(compare(arms, measure), first.name, [columns[place].name for place in order])
    gap = between(first, second, measure)
    if isinstance(gap, str):
        return None, set()
    # The sign matters: on the images both have, the order can be the other way round than on each one's own images.
    clear = gap.estimate.low > 0 if measure.direction == "↑" else gap.estimate.high < 0
    return (first.name if clear else None), set()


def _cell(found: Estimate, measure: Measure, values: Floats | None) -> Cell:
    """The cell of a run, or of an arm with its `values` [seeds, images] or [seeds, images, levels]."""
    value, low, high = (measure.factor * number for number in (found.value, found.low, found.high))
    if values is None:
        n, dropped, seeds = found.n, found.dropped, 1
        undefined = dropped / max(1, n + dropped)
    else:
        known = ~np.isnan(values).all(axis=tuple(range(2, values.ndim)))
        n, dropped, seeds = int(known.any(axis=0).sum()), int((~known).sum()), found.n
        undefined = float(np.isnan(values).mean())
    return Cell(value, low, high, n, dropped, measure.undefined if undefined else "", seeds=seeds, undefined=undefined)


def measure_rows(columns: Sequence[Column], group: str, wanted: Sequence[tuple[Measure, bool]]) -> list[Row]:
    """Rows of the measures that at least one column has."""
    rows = [measure_row(columns, measure, group=group, detail=detail) for measure, detail in wanted]
    return [row for row in rows if any(cell is not None for cell in row.cells)]
