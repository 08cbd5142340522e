"""What a worker does: take a cell's baton, train it, note why it failed. Workers need to know nothing of each other."""

import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
from subprocess import Popen
from typing import TextIO

import torch

from pellucid.errors import RunFailed
from pellucid.experiments.config import check
from pellucid.experiments.grid.attached import LOOK, PARENT
from pellucid.experiments.grid.baton import holding
from pellucid.experiments.grid.local import LOST
from pellucid.experiments.grid.measuring import measure_all
from pellucid.experiments.grid.store import MEASURING, Cell, Grid
from pellucid.experiments.train import train
from pellucid.files import write_json
from pellucid.training.fit import Stopped, stop_signals

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
    while not _attempt(grid, MEASURING, partial(_measure, grid)):
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
        with threads(grid.cpus):
            train(check(cell.config), grid.run(cell.name), title=cell.name)


def _measure(grid: Grid) -> None:
    with threads(grid.cpus):
        measure_all(grid)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Sums depend on the number of threads; with one number everywhere, no backend changes a result."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _train_on_many(grid: Grid, cell: Cell) -> None:
    config = grid.place(cell.name) / "config.json"  # JSON is YAML
    write_json(config, cell.config)
    attached = ["-m", "pellucid.experiments.grid.attached"]
    launcher = [*attached, "torch.distributed.run", "--standalone", "--nproc-per-node", str(grid.gpus)]
    training = [*attached, "pellucid", "train", str(config), "--out", str(grid.run(cell.name))]
    environment = os.environ | {"OMP_NUM_THREADS": str(grid.cpus), PARENT: str(os.getpid())}
    with grid.log(cell.name).open("a") as log:
        code = _run_until_stopped([sys.executable, *launcher, *training], environment, log)
    if code:
        raise RunFailed(f"torchrun ended with exit code {code}; see {grid.log(cell.name)}")


def _run_until_stopped(command: Sequence[str], environment: Mapping[str, str], log: TextIO) -> int:
    """Run a command to its end; if this process is told to stop, the command is told so once, and has time for it."""
    with stop_signals() as stop:
        # In a session of its own, where Ctrl-C does not reach it: torchrun gives up at a second signal.
        running = Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
        try:
            while running.poll() is None and not stop.asked:
                time.sleep(LOOK)
            if stop.asked:
                running.terminate()
                running.wait()
                raise Stopped(f"stopped by {stop.asked}; the same command continues the run")
        finally:
            running.kill()
    return running.returncode


@contextmanager
def _logged(path: Path) -> Iterator[None]:
    with path.open("a", buffering=1, encoding="utf-8") as log, redirect_stdout(log), redirect_stderr(log):
        yield


def _leave() -> None:
    """Somebody has taken over: this process was silent for so long that it seemed dead. It must not write any more."""
    os._exit(LOST)
