"""Every image and every value that did not enter a number, and why."""

from collections.abc import Sequence

import numpy as np

from pellucid.report.reading import lookup
from pellucid.report.results import Row
from pellucid.report.runs import Run
from pellucid.report.words import count

Exclusion = tuple[str, int, str]
"""(from what, how many, why)"""


def exclusions(run: Run, rows: Sequence[Row]) -> list[Exclusion]:
    """Images first, then the undefined values of each row of the results that has some."""
    return [*_images(run), *_attacked(run), *_values(rows)]


def _images(run: Run) -> list[Exclusion]:
    images = run.measurement["images"]
    found = [("all map metrics", int(number), str(why)) for why, number in images["dropped"].items() if number]
    beyond = images["candidates"] - sum(number for _, number, _ in found) - images["measured"]
    if beyond > 0:
        why = (
            f"classified correctly, but beyond the first {count(images['measured'], 'image')} in an order drawn by seed"
        )
        stopped = lookup(run.measurement, "until")
        found.append(("all map metrics", beyond, why + (": the stopping rule was fulfilled" if stopped else "")))
    return found


def _attacked(run: Run) -> list[Exclusion]:
    """Caps of what is attacked."""
    found = []
    robust = run.accuracy.values.get("robust")
    if robust is not None and np.isnan(robust).any():
        missed = int(np.isnan(robust).sum())
        found.append(
            ("robust accuracy", missed, f"not attacked: {len(robust) - missed:,} test images were, drawn by seed")
        )
    return found


def _values(rows: Sequence[Row]) -> list[Exclusion]:
    """Numbers that lack as many values for the same reason share a line."""
    found: dict[tuple[str, int, str], list[str]] = {}
    for row in rows:
        cell = row.cells[0]
        if cell is not None and cell.dropped and row.key != "robust_accuracy":
            found.setdefault((row.group, cell.dropped, cell.why), []).append(row.label)
    return [(f"{group}: {'; '.join(names)}", number, why) for (group, number, why), names in found.items()]
