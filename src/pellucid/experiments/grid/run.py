"""One grid from its file to measured cells: checked, planned, trained by whichever workers, measured."""

import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import torch

from pellucid.errors import BadInput, RunFailed
from pellucid.experiments.grid.baton import make_batons
from pellucid.experiments.grid.cells import plan
from pellucid.experiments.grid.measuring import measure_settings
from pellucid.experiments.grid.spec import GridSpec
from pellucid.experiments.grid.store import MEASURING, Cell, Grid


class Workers(Protocol):
    """Whoever trains and measures cells: :class:`.local.LocalWorkers`, :class:`.on_ray.RayCluster`."""

    def train(self, names: Sequence[str], tick: Callable[[], None]) -> None:
        """Train the named cells; what fails is noted in the grid's folder."""

    def measure(self, tick: Callable[[], None]) -> None:
        """Measure the trained cells."""


@dataclass(frozen=True)
class Outcome:
    """How many of the grid's cells are trained, whether those have been measured, and in one sentence what failed."""

    cells: int
    trained: int
    measured: bool
    failure: str = ""


def planned(spec: GridSpec, out: Path) -> Grid:
    """The grid of a file, with all checks done and nothing written.

    Raises
    ------
    BadInput
        One sentence about the first thing that is wrong with the file, the data or the folder.
    """
    if spec.measure is not None:
        measure_settings(spec.measure)
    _check_folder(out)
    cells = tuple(_placed(cell, out) for cell in plan(spec))
    return Grid(out.absolute(), cells, spec.measure, spec.resources.cpus, spec.resources.gpus)


def prepare(grid: Grid) -> None:
    """Write the grid's folder so that workers can begin."""
    grid.write()
    make_batons([grid.place(name) for name in (*(cell.name for cell in grid.cells), MEASURING)])


def check_devices(grid: Grid) -> None:
    """Refuse cells that ask for a GPU where this machine has none."""
    for cell in grid.cells:
        if cell.config["training"]["device"] == "cuda" and not torch.cuda.is_available():
            raise BadInput(
                f"cell {cell.name} asks for device 'cuda', but torch sees no CUDA device here; use auto or cpu"
            )


def run(grid: Grid, names: Sequence[str], workers: Workers, tick: Callable[[], None]) -> Outcome:
    """Train the named cells; once all cells of the grid are trained or have failed, measure those that are trained.

    Raises
    ------
    RunFailed
        If somebody interrupts. A cell that fails is in the outcome: the others are trained and measured nevertheless.
    """
    try:
        return _run(grid, names, workers, tick)
    except KeyboardInterrupt as error:
        raise RunFailed("interrupted; the same command continues the grid") from error


def retry(grid: Grid) -> list[str]:
    """Clear the failures of the present cells; returns the names of those that had failed."""
    failed = [cell.name for cell in grid.cells if grid.failed(cell.name)]
    for name in failed:
        grid.failure(name).unlink(missing_ok=True)
    return failed


def shard(grid: Grid, part: str | None) -> list[str]:
    """The names of the cells of one part, "I/N": every N-th cell from the I-th; all cells without a part."""
    names = [cell.name for cell in grid.cells]
    if part is None:
        return names
    found = re.fullmatch(r"(\d+)/(\d+)", part)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise BadInput(f"--shard {part} is not a part; write I/N with I from 1 to N, as in --shard 1/3")
    return names[int(found[1]) - 1 :: int(found[2])]


def _run(grid: Grid, names: Sequence[str], workers: Workers, tick: Callable[[], None]) -> Outcome:
    grid.failure(MEASURING).unlink(missing_ok=True)
    open_cells = [name for name in names if not grid.trained(name) and not grid.failed(name)]
    if open_cells:
        workers.train(open_cells, tick)
    trained = sum(grid.trained(cell.name) for cell in grid.cells)
    complete = all(grid.trained(cell.name) or grid.failed(cell.name) for cell in grid.cells)
    measured = grid.measure is not None and trained > 0 and complete
    if measured:
        workers.measure(tick)
    failed = [name for name in names if grid.failed(name)]
    failures = [_failures(grid, failed, len(names))] if failed else []
    if grid.failed(MEASURING):
        measured = False
        failures.append(f"measuring the {trained} trained cells failed: {grid.reason(MEASURING)}")
    return Outcome(len(grid.cells), trained, measured, "; ".join(failures))


def _placed(cell: Cell, out: Path) -> Cell:
    """The cell under the name of the folder that has its run already: a new axis or name changes a label, no number."""
    runs = out / "runs"
    known = [] if (runs / cell.name).exists() else sorted(runs.glob(f"*-{cell.identity[:8]}"))
    return replace(cell, name=known[0].name) if known else cell


def _check_folder(out: Path) -> None:
    nearest = next(path for path in (out.absolute(), *out.absolute().parents) if path.exists())
    if not nearest.is_dir():
        raise BadInput(f"{nearest} is a file; --out must name a folder")
    try:
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        raise BadInput(f"cannot write to {nearest} ({error.strerror}); choose another --out") from error


def _failures(grid: Grid, failed: Sequence[str], tried: int) -> str:
    first = f"{failed[0]} ({grid.reason(failed[0])})"
    others = f", {', '.join(failed[1:])}" if failed[1:] else ""
    where = grid.log(failed[0] if len(failed) == 1 else "*")
    return (
        f"{len(failed)} of {tried} cells failed: {first}{others}; their logs: {where}; "
        f"pellucid grid retry {grid.directory} runs them again"
    )
