"""The words in the cells of a table, alike in every format."""

from pellucid.report.results import Cell, Row
from pellucid.report.words import DASH, interval, number

NOT_MEASURED = "not measured"


def row_label(row: Row) -> str:
    """`Gini ↑`, `Natural accuracy (%) ↑`."""
    unit = f" ({row.unit})" if row.unit else ""
    return f"{row.label}{unit} {row.direction}".rstrip()


def cell_text(row: Row, cell: Cell | None) -> str:
    """`0.612 [0.600, 0.623]`, or `not measured`."""
    if cell is None:
        return NOT_MEASURED
    return f"{number(cell.value, row.decimals)} {interval(cell.low, cell.high, row.decimals)}".rstrip()


def counts_text(row: Row) -> str:
    """The n of each model, once where they agree: `1,000` or `998 / 1,000`."""
    return _joined([DASH if cell is None or cell.n is None else f"{cell.n:,}" for cell in row.cells])


def dropped_text(row: Row) -> str:
    """How many values were undefined for each model; a dash where that cannot be. The table's notes say why."""
    return _joined([DASH if cell is None or cell.n is None else f"{cell.dropped:,}" for cell in row.cells])


def _joined(texts: list[str]) -> str:
    return texts[0] if len(set(texts)) == 1 else " / ".join(texts)
