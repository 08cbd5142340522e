"""The workers of one machine: processes that are started, watched, and started again if they die."""

import multiprocessing
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any

from pellucid.errors import RunFailed
from pellucid.experiments.grid.baton import holder, this_host
from pellucid.experiments.grid.store import MEASURING, Grid

CHANCES = 2
"""How many worker processes a cell may bring down (memory, a crash in a library) before it counts as failed."""

LOST = 76
"""Exit code of a worker whose baton was taken away, as after the machine has slept."""

_STOPPED = 75


@dataclass(frozen=True)
class LocalWorkers:
    """`jobs` worker processes on this machine; `tick` is called about every second while they are at work.

    Both methods raise RunFailed if a worker is told to stop, or the workers die before they take a cell.
    """

    grid: Grid
    jobs: int = 1

    def train(self, names: Sequence[str], tick: Callable[[], None]) -> None:
        """Train the named cells."""
        _supervise(self.grid, self.jobs, "cells", tuple(names), tick)

    def measure(self, tick: Callable[[], None]) -> None:
        """Measure the trained cells, in one process."""
        _supervise(self.grid, 1, "measuring", (MEASURING,), tick)


def _supervise(grid: Grid, jobs: int, task: str, names: tuple[str, ...], tick: Callable[[], None]) -> None:
    deaths: Counter[str] = Counter()
    workers: dict[int, BaseProcess] = {}
    with _sigterm_as_interrupt():
        try:
            workers |= {number: _start(grid, task, names, number) for number in range(jobs)}
            while workers:
                wait([worker.sentinel for worker in workers.values()], timeout=1)
                tick()
                for number, worker in list(workers.items()):
                    if worker.exitcode is None:
                        continue
                    del workers[number]
                    if worker.exitcode:
                        _note_death(grid, names, worker, deaths)
                        workers[number] = _start(grid, task, names, number)
        finally:
            for worker in workers.values():
                worker.terminate()
            for worker in workers.values():
                worker.join()
    tick()


def _start(grid: Grid, task: str, names: tuple[str, ...], number: int) -> BaseProcess:
    # Spawned, not forked: forked copies of a process that has used threads or a GPU do not work.
    worker = multiprocessing.get_context("spawn").Process(target=_worker, args=(grid, task, names, number))
    worker.start()
    return worker


def _note_death(grid: Grid, names: Sequence[str], worker: BaseProcess, deaths: "Counter[str]") -> None:
    """Find the cell that the dead worker held; give it up after `CHANCES` deaths."""
    if worker.exitcode == _STOPPED:
        raise RunFailed("a worker was told to stop; the same command continues the grid")
    if worker.exitcode == LOST:  # no fault of a cell: somebody else goes on with it
        return
    code = worker.exitcode or 0
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    held = ((name, holder(grid.place(name))) for name in names)
    found = next((name for name, by in held if by and (by.host, by.pid) == (this_host(), worker.pid)), "")
    deaths[found] += 1
    if deaths[found] < CHANCES:
        return
    if not found:
        raise RunFailed(f"the worker processes die before they take a cell (the last one {how})")
    grid.write_failure(found, f"its process {how} {CHANCES} times (is the memory enough for so many jobs?)")


def _worker(grid: Grid, task: str, names: Sequence[str], number: int) -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_die_with, args=(parent,), daemon=True).start()
    if grid.gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = _devices(number, grid.gpus)
    # Here, after the choice of devices, and so that whoever watches needs no torch.
    from pellucid.experiments.grid.work import run_cells, run_measuring  # noqa: PLC0415
    from pellucid.training.fit import Stopped  # noqa: PLC0415

    try:
        run_cells(grid, names) if task == "cells" else run_measuring(grid)
    except (Stopped, KeyboardInterrupt):
        os._exit(_STOPPED)


def _die_with(parent: Any) -> None:
    parent.join()  # returns when the parent is gone, however it died
    os._exit(1)


def _devices(number: int, gpus: int) -> str:
    """The GPUs of worker `number`, round robin over those that this process may use."""
    import torch  # noqa: PLC0415

    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    available = given.split(",") if given else [str(i) for i in range(torch.cuda.device_count())]
    if not available:
        return given or ""
    return ",".join(available[(number * gpus + i) % len(available)] for i in range(min(gpus, len(available))))


@contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """A machine that is about to be taken away sends SIGTERM; the workers then get time for a checkpoint."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
