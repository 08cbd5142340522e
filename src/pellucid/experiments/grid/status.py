"""How far a grid is, from a few small files a cell. Imports no torch."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rich.table import Table

from pellucid.errors import BadInput
from pellucid.experiments.grid.baton import holder
from pellucid.experiments.grid.store import Cell, Grid
from pellucid.training.progress import duration

State = Literal["finished", "running", "failed", "stopped", "waiting"]
STATES: tuple[State, ...] = ("running", "failed", "stopped", "waiting", "finished")


@dataclass(frozen=True)
class Standing:
    """Where one cell stands.

    Attributes
    ----------
    state
        "stopped": begun, not finished, and nobody is at it.
    step, steps
        Optimiser steps done at the last checkpoint, and of the whole run.
    seconds
        Of training so far.
    measured
        Whether its measurements are there.
    note
        Who runs it, or why it failed.
    """

    cell: Cell
    state: State
    step: int
    seconds: float
    measured: bool
    note: str = ""

    @property
    def steps(self) -> int:
        """Optimiser steps of the whole run."""
        return self.cell.steps

    @property
    def left(self) -> float | None:
        """Seconds of training left at the speed so far; None if there is no speed yet."""
        return self.seconds / self.step * (self.steps - self.step) if self.step else None


def standings(grid: Grid) -> list[Standing]:
    """Where each cell stands."""
    return [standing(grid, cell) for cell in grid.cells]


def standing(grid: Grid, cell: Cell) -> Standing:
    """Where one cell stands."""
    run = grid.run(cell.name)
    manifest = grid.manifest(cell.name)
    if manifest.get("status") == "finished":
        measured = (run / "measurements" / "measurement.json").exists()
        return Standing(cell, "finished", cell.steps, _cost(manifest, run), measured)
    step, seconds = _progress(run / "checkpoint.safetensors")
    if grid.failed(cell.name):
        return Standing(cell, "failed", step, seconds, False, grid.reason(cell.name))
    current = holder(grid.place(cell.name))
    if current is not None and current.alive:
        return Standing(cell, "running", step, seconds, False, f"{current.machine}, process {current.pid}")
    return Standing(cell, "stopped" if manifest or step else "waiting", step, seconds, False)


def _cost(manifest: Mapping[str, Any], run: Path) -> float:
    try:
        return float(manifest["cost"]["seconds"])
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{run / 'manifest.json'} is damaged: it does not say what the training cost") from error


def seconds_left(found: Sequence[Standing]) -> float | None:
    """Seconds until all cells are trained by as many workers as are at it now; None if nothing is known yet.

    A cell that has not begun is expected to take as long as the mean of the others.
    """
    totals = [one.seconds + (one.left or 0.0) for one in found if one.step]
    if not totals:
        return None
    mean = sum(totals) / len(totals)
    work = sum(
        mean if one.left is None else one.left for one in found if one.state in {"running", "stopped", "waiting"}
    )
    return work / max(1, sum(one.state == "running" for one in found))


def summary(found: Sequence[Standing]) -> str:
    """One line: "12 cells: 2 running, 1 failed, 9 finished; about 3 min 10 s left"."""
    counts: Counter[str] = Counter(one.state for one in found)
    counts["measured"] = sum(one.measured for one in found)
    parts = [f"{counts[state]} {state}" for state in (*STATES, "measured") if counts[state]]
    left = seconds_left(found)
    rest = f"; about {duration(left)} left" if left and counts["finished"] + counts["failed"] < len(found) else ""
    return f"{len(found)} cells: {', '.join(parts)}{rest}"


def status_table(found: Sequence[Standing], rows: int | None = None) -> Table:
    """The cells as a table: all of them in the grid's order, or the `rows` of most interest (running, failed, …)."""
    table = Table("cell", "state", "steps", "time", "left", "note", box=None, pad_edge=False, header_style="bold")
    shown = list(found)
    if rows is not None and len(shown) > rows:
        shown = sorted(shown, key=lambda one: STATES.index(one.state))[:rows]
    for one in shown:
        left = duration(one.left) if one.left and one.state == "running" else ""
        state = "finished, measured" if one.measured else one.state
        seconds = duration(one.seconds) if one.seconds else ""
        table.add_row(one.cell.name, state, f"{one.step}/{one.steps}", seconds, left, one.note)
    return table


def as_plain(grid: Grid, found: Sequence[Standing]) -> dict[str, Any]:
    """The same as plain values, for ``--json``."""
    cells = [
        {
            "cell": one.cell.name,
            "run": str(grid.run(one.cell.name)),
            "choices": dict(one.cell.choices),
            "state": one.state,
            "measured": one.measured,
            "step": one.step,
            "steps": one.steps,
            "seconds": one.seconds,
            "note": one.note,
        }
        for one in found
    ]
    return {"cells": cells, "seconds_left": seconds_left(found)}


def _progress(checkpoint: Path) -> tuple[int, float]:
    """Step and seconds from the header of a checkpoint; its tensors are not read."""
    try:
        with checkpoint.open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        state = json.loads(header["__metadata__"]["pellucid"])["state"]
        return int(state["step"]), float(state["seconds"])
    except (OSError, ValueError, KeyError):
        return 0, 0.0
