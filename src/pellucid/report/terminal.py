"""The trade-off table in the terminal: a line a model, at most 100 columns wide."""

import re

from rich import box
from rich.console import Group, RenderableType
from rich.constrain import Constrain
from rich.table import Table
from rich.text import Text

from pellucid.report.cells import NOT_MEASURED, TIED
from pellucid.report.results import Cell, ResultTable, Row
from pellucid.report.words import interval, number

WIDTH = 100

# Short heads, so that eight columns fit; the full names stand in the report.
_HEADS = {
    "natural_accuracy": "natural\naccuracy",
    "robust_accuracy": "robust\naccuracy",
    "gini": "Gini",
    "ros_norm": "ROS-norm",
    "aopc_clean": "ROAD-\nAOPC",
    "seconds": "training\ntime",
}


def to_terminal(table: ResultTable) -> RenderableType:
    """A rich table: value, 95 % interval and n under each other in each cell, and the notes below."""
    shown = Table(title=table.title, box=box.SIMPLE_HEAD, padding=0, title_justify="left", pad_edge=False)
    shown.add_column("model", overflow="fold", max_width=14)
    for row in table.rows:
        shown.add_column(_head(row), justify="right", vertical="top")
    for place, name in enumerate(table.columns):
        cells = [_cell(row, row.cells[place]) for row in table.rows]
        shown.add_row(Text(name, style="bold"), *cells, end_section=True)
    notes = Text("\n".join(table.notes), style="dim")
    return Constrain(Group(shown, notes), WIDTH)


def _head(row: Row) -> Text:
    return Text(f"{_HEADS.get(row.key, row.label.replace(' at ', chr(10)))} {row.direction}".rstrip())


def _cell(row: Row, cell: Cell | None) -> Text:
    if cell is None:
        return Text(NOT_MEASURED.replace(" ", "\n"), style="dim")
    value = number(cell.value, row.decimals) + (f" {row.unit}" if row.unit else "") + TIED * cell.tied
    text = Text(value, style="bold green" if cell.best else "")
    for line in (_ends(row, cell), _counts(cell)):
        if line:
            text.append(f"\n{line}", style="not bold dim")
    return text


def _counts(cell: Cell) -> str:
    """How many images, and of an arm how many seeds."""
    if cell.n is None:
        return ""
    return f"n {cell.n:,}" if cell.seeds == 1 else f"{cell.n:,}×{cell.seeds}"


def _ends(row: Row, cell: Cell) -> str:
    """The interval without brackets and leading zeros, so that the table fits into 80 columns."""
    between = "–" if cell.low >= 0 else " to "
    ends = interval(cell.low, cell.high, row.decimals).strip("[]").replace(", ", between)
    return re.sub(r"(?<!\d)0\.", ".", ends)
