"""DiffROAR of runs as a table: the mean over the seeds with Student's interval, and both accuracies behind it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich import box
from rich.console import RenderableType
from rich.table import Table

from pellucid.report.reading import read_mapping
from pellucid.report.words import attribution_name, interval, number
from pellucid.statistics import Estimate, student


@dataclass(frozen=True)
class DiffroarRow:
    """One level of one attribution of one run.

    Attributes
    ----------
    run, attribution
        Name of the run directory, and of the attribution as in a config.
    level
        Share of the coordinates that were kept, in (0, 1).
    most, least
        Mean test accuracy over the seeds with the most, and with the least important coordinates kept.
    difference
        DiffROAR, most − least: mean over the n seeds and 95 % interval (Student), in [−1, 1]; NaN ends for one seed.
    """

    run: str
    attribution: str
    level: float
    most: float
    least: float
    difference: Estimate


def read_diffroar(directories: Sequence[Path]) -> list[DiffroarRow]:
    """What ``pellucid diffroar`` found for the runs, in their order.

    Raises
    ------
    BadInput
        With the path of a result that is missing or damaged.
    """
    rows = []
    for directory in directories:
        found = read_mapping(directory / "measurements" / "diffroar.json", {"attributions": dict})
        for name, study in found["attributions"].items():
            for level in study["levels"]:
                most, least = (float(np.mean(level[side])) for side in ("most", "least"))
                rows.append(
                    DiffroarRow(directory.name, name, level["level"], most, least, student(level["difference"]))
                )
    return rows


def diffroar_table(rows: Sequence[DiffroarRow]) -> RenderableType:
    """A rich table for the terminal, one line a level."""
    shown = Table(
        title="DiffROAR: test accuracy of models retrained on the most, minus on the least important coordinates ↑",
        caption="95 % interval over n seeds (Student's t); 0 is chance, below 0 the attribution is inverted",
        box=box.SIMPLE_HEAD,
        title_justify="left",
        caption_justify="left",
    )
    for head in ("run", "attribution", "kept", "most", "least", "DiffROAR", "interval", "n"):
        shown.add_column(head, justify="left" if head in {"run", "attribution"} else "right")
    for row in rows:
        difference = row.difference
        shown.add_row(
            row.run,
            attribution_name(row.attribution),
            f"{100 * row.level:g} %",
            number(row.most),
            number(row.least),
            number(difference.value, signed=True),
            interval(difference.low, difference.high, signed=True) or "needs 2 seeds",
            str(difference.n),
        )
    return shown
