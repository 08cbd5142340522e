"""The words in the cells of a table, alike in every format."""

from pellucid.report.results import Cell, Row
from pellucid.report.words import DASH, interval, number

NOT_MEASURED = "not measured"
TIED = "†"


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
    counts = _joined([DASH if cell is None or cell.n is None else f"{cell.n:,}" for cell in row.cells])
    seeds = _joined([f"{cell.seeds}" for cell in row.cells if cell is not None and cell.n is not None] or ["1"])
    return counts if seeds == "1" else f"{counts} × {seeds}"


def dropped_text(row: Row) -> str:
    """How many images had no value for each model, of several seeds which share of the values; a dash where none can.

    Of more than three that differ, the lowest and the highest. The table's notes say why.
    """
    texts = [DASH if cell is None or cell.n is None else _dropped(cell) for cell in row.cells]
    known = [cell for cell in row.cells if cell is not None and cell.n is not None]
    if len(texts) <= 3 or len(set(texts)) == 1 or not known:
        return _joined(texts)
    ends = (choose(known, key=lambda cell: (cell.undefined, cell.dropped)) for choose in (min, max))
    return " to ".join(map(_dropped, ends))


def _dropped(cell: Cell) -> str:
    return f"{cell.dropped:,}" if cell.seeds == 1 else f"{number(100 * cell.undefined, 1)} %"


def _joined(texts: list[str]) -> str:
    return texts[0] if len(set(texts)) == 1 else " / ".join(texts)
