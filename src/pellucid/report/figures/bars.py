"""Numbers side by side: the trade-off with its intervals, and what each training cost."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from pellucid.report.arms import Arm, Column, seed_values
from pellucid.report.contents import trade_off_measures, trade_off_table
from pellucid.report.figures.style import INK, Picture, look, new_figure, picture, series
from pellucid.report.ledger import cost_rows
from pellucid.report.measures import Measure
from pellucid.report.results import Row
from pellucid.report.words import number


def trade_off(columns: Sequence[Column]) -> Picture | None:
    """Accuracy, robustness, sparsity, stability and faithfulness: a panel each, a line a model or arm."""
    known = {measure.key: measure for measure in trade_off_measures(columns)}
    rows = [row for row in trade_off_table(columns).rows if row.key in known]
    if not rows:
        return None
    with look("trade-off"):
        across = min(3, len(rows))
        lines = -(-len(rows) // across)
        figure = new_figure(lines * (0.75 + 0.22 * len(columns)))
        panels = list(figure.subplots(lines, across, squeeze=False, sharey=True).flat)
        for axes, row in zip(panels, rows, strict=False):
            _dots(axes, row, columns, known[row.key])
        for axes in panels[len(rows) :]:
            axes.set_visible(False)
        return picture(
            figure,
            name="trade-off",
            title="The trade-off at a glance",
            caption=(
                "Each panel has its own scale; the arrow says which direction is better. Points: the numbers of the "
                "table; bars: 95 % intervals over images"
                f"{' and seeds; small dots: single seeds' if _arms(columns) else ' (often narrower than the point)'}."
            ),
            alt="Dot charts: " + "; ".join(_spelled(row, columns) for row in rows),
        )


def cost(columns: Sequence[Column]) -> Picture | None:
    """Bars of training time, speed, passes and memory."""
    rows = [row for row in cost_rows(columns) if row.key != "parameters"]
    if not rows:
        return None
    with look("cost"):
        figure = new_figure(0.75 + 0.24 * len(columns))
        panels = figure.subplots(1, len(rows), squeeze=False, sharey=True)[0]
        for axes, row in zip(panels, rows, strict=True):
            _bars(axes, row, columns)
        return picture(
            figure,
            name="cost",
            title="What the training cost",
            caption="Wall-clock time, speed, forward and backward passes per training image, and peak memory of each "
            f"training run{' (mean over the seeds of an arm)' if _arms(columns) else ''}, on the hardware named below.",
            alt="Bar charts: " + "; ".join(_spelled(row, columns) for row in rows),
        )


def _arms(columns: Sequence[Column]) -> bool:
    return any(isinstance(one, Arm) for one in columns)


def _dots(axes: Axes, row: Row, columns: Sequence[Column], measure: Measure) -> None:
    for place, (column, cell, style) in enumerate(zip(columns, row.cells, series(columns), strict=True)):
        if isinstance(column, Arm):
            seeds = seed_values(measure, column)
            axes.plot(seeds, [place + 0.28] * len(seeds), ".", color=style["color"], markersize=4, alpha=0.7, mew=0)
        if cell is not None and not np.isnan(cell.value):
            marker: dict[str, Any] = {"color": style["color"], "marker": style["marker"], "linestyle": "none"}
            ends = np.abs([[cell.value - cell.low], [cell.high - cell.value]])
            axes.errorbar([cell.value], [place], xerr=np.nan_to_num(ends), capsize=2.5, elinewidth=1.2, **marker)
    unit = f" ({row.unit})" if row.unit else ""
    _names(axes, columns, f"{row.label}{unit} {row.direction}")
    axes.margins(x=0.12)


def _bars(axes: Axes, row: Row, runs: Sequence[Column]) -> None:
    values = [np.nan if cell is None else cell.value for cell in row.cells]
    drawn = axes.barh(range(len(runs)), values, height=0.62, color=[style["color"] for style in series(runs)])
    texts = ["" if np.isnan(value) else number(value, row.decimals) for value in values]
    axes.bar_label(drawn, texts, padding=2, fontsize=7.5, color=INK)
    _names(axes, runs, f"{row.label} ({row.unit})" if row.unit else row.label)
    axes.margins(x=0.3)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)


def _names(axes: Axes, runs: Sequence[Column], title: str) -> None:
    axes.set_title(title)
    axes.set_yticks(range(len(runs)), [run.name for run in runs])
    axes.set_ylim(len(runs) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)


def _spelled(row: Row, runs: Sequence[Column]) -> str:
    found = [
        f"{run.name} {number(cell.value, row.decimals)}{' ' + row.unit if row.unit else ''}"
        for run, cell in zip(runs, row.cells, strict=True)
        if cell is not None
    ]
    return f"{row.label}: {', '.join(found)}"
