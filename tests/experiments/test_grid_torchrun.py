"""Cells of several processes: torchrun and all that it starts end with the worker, however it ends."""

import os
import signal
import subprocess
import sys
import time

import pytest
import yaml
from small_grid import SPEC

from pellucid.experiments.grid.attached import PARENT
from pellucid.experiments.grid.baton import holder
from pellucid.experiments.grid.status import standings
from pellucid.experiments.grid.store import read_grid

ATTACHED = [sys.executable, "-m", "pellucid.experiments.grid.attached"]
LONG = SPEC["base"]["training"] | {"max_steps": 10**6, "epochs": 10**5}


def wait_for(condition, seconds):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return found


def alive(word):
    """The processes, but for zombies, whose command line holds a word."""
    listed = subprocess.run(["ps", "-axww", "-o", "pid=,stat=,args="], capture_output=True, text=True, check=True)
    rows = (line.split(None, 2) for line in listed.stdout.splitlines())
    return {int(pid): args for pid, stat, args in rows if word in args and not stat.startswith("Z")}


@pytest.fixture
def chain(tmp_path):
    """Three processes: one that is no module of ours, one attached to it, and one attached to that."""
    (tmp_path / "last.py").write_text("import time\ntime.sleep(600)\n")
    starts = f"import subprocess, sys\nsubprocess.run([*{ATTACHED}, 'last', sys.argv[1]])\n"
    (tmp_path / "middle.py").write_text(starts)
    first = f"import os, subprocess\nos.environ['{PARENT}'] = str(os.getpid())\n"
    first += f"subprocess.run([*{ATTACHED}, 'middle', '{tmp_path}'])\n"
    process = subprocess.Popen([sys.executable, "-c", first], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    yield process, tmp_path
    for pid in alive(str(tmp_path)):
        os.kill(pid, signal.SIGKILL)
    process.wait()


def test_attached_processes_end_when_the_first_one_is_killed(chain):
    process, folder = chain
    wait_for(lambda: len(alive(f"last {folder}")) == 1, 60)
    time.sleep(1)
    assert len(alive(str(folder))) == 3
    process.kill()
    wait_for(lambda: not alive(str(folder)), 30)
    assert process.stderr.read().count("the process that started this one is gone") == 2


def test_a_process_whose_parent_is_dead_already_ends_at_once(tmp_path):
    (tmp_path / "last.py").write_text("import time\ntime.sleep(600)\n")
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    environment = os.environ | {PARENT: gone.stdout.decode().strip()}
    done = subprocess.run([*ATTACHED, "last"], cwd=tmp_path, env=environment, timeout=60, check=False)
    assert done.returncode == 1


@pytest.fixture
def grid(tmp_path):
    """A grid whose one cell trains for ever in two processes, and its folder; nothing of it is left afterwards."""
    base = SPEC["base"] | {"training": LONG}
    file = tmp_path / "grid.yaml"
    file.write_text(yaml.safe_dump(SPEC | {"base": base, "axes": {"seed": [0]}, "resources": {"gpus": 2}}))
    words = [sys.executable, "-m", "pellucid", "grid", str(file), "--out", str(tmp_path / "out")]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    yield process, tmp_path / "out"
    process.kill()
    process.wait()
    for pid in alive(str(tmp_path)):
        os.kill(pid, signal.SIGKILL)


def training(out):
    """The processes of the cell, once it has trained: torchrun, two that train, and the worker that waits."""
    if not (out / "grid.json").exists():
        return None
    (one,) = standings(read_grid(out))
    if not one.step:
        return None
    return {*alive(f"{out}/runs"), holder(out / "cells" / one.cell.name).pid}


def left_over(pids):
    listed = subprocess.run(["ps", "-axo", "pid=,stat="], capture_output=True, text=True, check=True)
    rows = (line.split() for line in listed.stdout.splitlines())
    return pids & {int(pid) for pid, stat in rows if not stat.startswith("Z")}


@pytest.mark.slow
def test_torchrun_and_its_processes_end_when_the_grid_is_killed(grid):
    process, out = grid
    pids = wait_for(lambda: training(out), 300)
    assert len(pids) == 4
    process.kill()
    wait_for(lambda: not left_over(pids), 10)
    assert not alive(str(out))


@pytest.mark.slow
def test_torchrun_and_its_processes_end_when_the_worker_is_killed(grid):
    _, out = grid
    pids = wait_for(lambda: training(out), 300)
    assert len(pids) == 4
    (cell,) = read_grid(out).cells
    os.kill(holder(out / "cells" / cell.name).pid, signal.SIGKILL)
    wait_for(lambda: not left_over(pids), 10)


@pytest.mark.slow
def test_a_cell_under_torchrun_that_is_told_to_stop_keeps_a_checkpoint_and_does_not_fail(grid):
    process, out = grid
    pids = wait_for(lambda: training(out), 300)
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 1
    assert said.splitlines()[-1] == "pellucid: interrupted; the same command continues the grid"
    assert not left_over(pids)
    (cell,) = read_grid(out).cells
    assert not read_grid(out).failed(cell.name)
    assert "stopped by SIGTERM" in read_grid(out).log(cell.name).read_text()
