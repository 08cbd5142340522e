"""The words in the cells of a table, alike in every format."""

from collections.abc import Callable
from typing import Any

from pellucid.report.results import Cell, Row
from pellucid.report.words import DASH, interval, number

NOT_MEASURED = "not measured"
TIED = "†"
FEW = 3
"""Models of which each one's count is told."""


def row_label(row: Row) -> str:
    """`Gini ↑`, `Natural accuracy (%) ↑`."""
    unit = f" ({row.unit})" if row.unit else ""
    return f"{row.label}{unit} {row.direction}".rstrip()


def cell_text(row: Row, cell: Cell | None) -> str:
    """`0.612 [0.600, 0.623]`, with a dagger where it is tied with the best; or `not measured`."""
    if cell is None:
        return NOT_MEASURED
    text = f"{number(cell.value, row.decimals)} {interval(cell.low, cell.high, row.decimals)}".rstrip()
    return f"{text} {TIED}" if cell.tied else text


def counts_text(row: Row) -> str:
    """The n of each model, once where they agree: `1,000`, `998 / 1,000`, or with seeds `1,000 × 5`."""
    counts = _joined(row, lambda cell: f"{cell.n:,}", lambda cell: cell.n or 0)
    seeds = sorted({cell.seeds for cell in row.cells if cell is not None and cell.n is not None})
    return counts if seeds in ([], [1]) else f"{counts} × {' to '.join(map(str, dict.fromkeys((seeds[0], seeds[-1]))))}"


def dropped_text(row: Row) -> str:
    """How many images had no value for each model, of several seeds which share of the values; a dash where none can.

    The table's notes say why.
    """
    return _joined(row, _dropped, lambda cell: (cell.undefined, cell.dropped))


def _dropped(cell: Cell) -> str:
    return f"{cell.dropped:,}" if cell.seeds == 1 else f"{number(100 * cell.undefined, 1)} %"


def _joined(row: Row, spell: Callable[[Cell], str], size: Callable[[Cell], Any]) -> str:
    """One text where all agree, all texts of up to three models, and of more the lowest and the highest."""
    known = [cell for cell in row.cells if cell is not None and cell.n is not None]
    texts = [DASH if cell is None or cell.n is None else spell(cell) for cell in row.cells]
    if len(set(texts)) == 1:
        return texts[0]
    if len(texts) <= FEW:
        return " / ".join(texts)
    return " to ".join(dict.fromkeys(spell(choose(known, key=size)) for choose in (min, max)))
