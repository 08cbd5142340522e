"""What a worker does: take a cell's baton, train it, note why it failed. Workers need to know nothing of each other."""

import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path

import torch

from pellucid.errors import RunFailed
from pellucid.experiments.config import check
from pellucid.experiments.grid.baton import holding
from pellucid.experiments.grid.measuring import measure_all
from pellucid.experiments.grid.store import MEASURING, Cell, Grid
from pellucid.experiments.train import train
from pellucid.files import write_json
from pellucid.training.fit import Stopped

PATIENCE = 1.0
"""Seconds between two looks at cells that others work on."""


def run_cells(grid: Grid, names: Sequence[str]) -> None:
    """Train the named cells but for those that others train; return when all are finished or failed."""
    cells = [cell for cell in grid.cells if cell.name in set(names)]
    while cells := [cell for cell in cells if not grid.failed(cell.name) and not grid.trained(cell.name)]:
        attempts = [_attempt(grid, cell.name, partial(_train, grid, cell)) for cell in cells]
        if not any(attempts):
            time.sleep(PATIENCE)


def run_measuring(grid: Grid) -> None:
    """Measure the trained cells, waiting for anybody who does it already."""
    while not _attempt(grid, MEASURING, partial(_with_threads, grid, partial(measure_all, grid))):
        time.sleep(PATIENCE)


def _attempt(grid: Grid, name: str, work: Callable[[], None]) -> bool:
    """Do the work and note if it fails; False if somebody else is at it."""
    with holding(grid.place(name), lost=_leave) as mine:
        if not mine:
            return False
        if grid.failed(name) or (name != MEASURING and grid.trained(name)):  # meanwhile, by others
            return True
        with _logged(grid.log(name)):
            try:
                work()
            except Stopped:
                raise
            except Exception as error:  # whatever it is: the other cells go on
                traceback.print_exc()
                kind = "" if isinstance(error, RunFailed | ValueError) else f"{type(error).__name__}: "
                grid.write_failure(name, kind + " ".join(str(error).split()))
    return True


def _train(grid: Grid, cell: Cell) -> None:
    if grid.gpus > 1:
        _train_on_many(grid, cell)
    else:
        _with_threads(grid, partial(train, check(cell.config), grid.run(cell.name), title=cell.name))


def _with_threads(grid: Grid, work: Callable[[], object]) -> None:
    """Sums depend on the number of threads; with one number everywhere, no backend changes a result."""
    before = torch.get_num_threads()
    torch.set_num_threads(grid.cpus)
    try:
        work()
    finally:
        torch.set_num_threads(before)


def _train_on_many(grid: Grid, cell: Cell) -> None:
    config = grid.place(cell.name) / "config.json"  # JSON is YAML
    write_json(config, cell.config)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(grid.gpus)]
    command = [*launcher, "-m", "pellucid", "train", str(config), "--out", str(grid.run(cell.name))]
    environment = os.environ | {"OMP_NUM_THREADS": str(grid.cpus)}
    with grid.log(cell.name).open("a") as log:
        done = subprocess.run(command, stdout=log, stderr=log, env=environment, check=False)
    if done.returncode:
        raise RunFailed(f"torchrun ended with exit code {done.returncode}; see {grid.log(cell.name)}")


@contextmanager
def _logged(path: Path) -> Iterator[None]:
    with path.open("a", buffering=1, encoding="utf-8") as log, redirect_stdout(log), redirect_stderr(log):
        yield


def _leave() -> None:
    """Somebody has taken over: this process was silent for so long that it seemed dead. It must not write any more."""
    os._exit(1)
