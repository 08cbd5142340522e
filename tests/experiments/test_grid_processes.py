"""Grids with worker processes of their own: through the command line, killed, on Ray, under torchrun."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest
import yaml
from small_grid import SPEC, finish, numbers, ready, spec

from pellucid import cli
from pellucid.experiments.grid.baton import holder
from pellucid.experiments.grid.local import LocalWorkers, _devices
from pellucid.experiments.grid.run import Outcome, run, shard
from pellucid.experiments.grid.status import standings
from pellucid.experiments.grid.store import read_grid

STEPS = 40
LONGER = {"base": SPEC["base"] | {"training": SPEC["base"]["training"] | {"max_steps": STEPS}}}


def command(*arguments):
    return [sys.executable, "-m", "pellucid", "grid", *map(str, arguments)]


def pellucid(*arguments):
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=600, check=False)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The numbers of the grid when nothing happens to it."""
    folder = tmp_path_factory.mktemp("alone")
    assert finish(ready(spec(**LONGER), folder)).measured
    return numbers(folder)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "grid.yaml"
    path.write_text(yaml.safe_dump(SPEC | LONGER))
    return path


class Killer:
    """Kills the process of the first cell that it sees half done."""

    def __init__(self, grid):
        self.grid, self.killed = grid, None

    def __call__(self):
        running = [one for one in standings(self.grid) if one.state == "running" and 0 < one.step < STEPS]
        if running and self.killed is None:
            self.killed = running[0].cell.name
            os.kill(holder(self.grid.place(self.killed)).pid, signal.SIGKILL)


def test_a_worker_that_is_killed_in_mid_cell_changes_nothing(alone, tmp_path):
    grid = ready(spec(**LONGER), tmp_path)
    killer = Killer(grid)
    assert run(grid, shard(grid, None), LocalWorkers(grid, 2), killer) == Outcome(4, 4, True)
    assert killer.killed
    assert numbers(tmp_path) == alone


def test_so_it_is_on_ray(alone, tmp_path):
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'pellucid[ray]'")
    from pellucid.experiments.grid.on_ray import RayCluster

    grid = ready(spec(**LONGER), tmp_path)
    killer = Killer(grid)
    with RayCluster("local", grid, 2) as cluster:
        assert run(grid, shard(grid, None), cluster, killer) == Outcome(4, 4, True)
    assert killer.killed
    assert numbers(tmp_path) == alone


def test_a_cell_that_always_kills_its_worker_fails_and_stops_no_other(tmp_path):
    grid = ready(spec(axes={"objective": ["natural", "small_grid.deadly"], "seed": [0]}, measure=None), tmp_path)
    done = run(grid, shard(grid, None), LocalWorkers(grid, 1), lambda: None)
    assert re.match("1 of 2 cells failed: .*deadly.*its process was killed by SIGKILL 2 times", done.failure)
    assert [one.state for one in standings(grid)] == ["finished", "failed"]


def wait_for(condition, process=None, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        assert process is None or process.poll() is None, "it ended too early"
        time.sleep(0.02)


def half_done(out):
    """The processes that train cells of which a checkpoint is there."""
    if not (out / "grid.json").exists():
        return []
    grid = read_grid(out)
    running = [one.cell.name for one in standings(grid) if one.state == "running" and one.step]
    return [by.pid for name in running if (by := holder(grid.place(name)))]


def gone(pids):
    def dead(pid):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        return False

    return all(dead(pid) for pid in pids)


def test_stopped_and_killed_the_same_command_ends_with_the_same_numbers(alone, file, tmp_path):
    out = tmp_path / "grid"
    for how, expected in ((signal.SIGTERM, 1), (signal.SIGKILL, -signal.SIGKILL)):
        process = subprocess.Popen(command(file, "--out", out), stderr=subprocess.PIPE, text=True)
        wait_for(lambda: half_done(out), process)
        workers = half_done(out)
        process.send_signal(how)
        said = process.communicate(timeout=60)[1]
        assert process.returncode == expected, said
        if how == signal.SIGTERM:
            assert said.splitlines()[-1] == "pellucid: interrupted; the same command continues the grid"
        wait_for(lambda pids=workers: gone(pids))
        assert {one.state for one in standings(read_grid(out))} != {"finished"}  # no worker outlived its master
    done = pellucid(file, "--out", out, "--json")
    assert done.returncode == 0, done.stderr
    assert {cell["state"] for cell in json.loads(done.stdout)["cells"]} == {"finished"}
    assert numbers(out) == alone
    assert (out / "report" / "index.html").exists()
    listed = pellucid("ls", out).stdout.split()
    assert [path.rpartition("/")[2] for path in listed] == shard(read_grid(out), None)


@pytest.mark.slow
def test_twelve_cells_killed_five_times_end_with_the_same_tables(tmp_path):
    arms = SPEC["axes"]["arm"] | {
        "G": {"objective": {"name": "adversarial", "eps": 0.1, "steps": 2}, "smoothing": {"filter": "gaussian"}},
        "M2": {"objective": {"name": "adversarial", "eps": 0.1, "steps": 2}, "smoothing": {"filter": "median"}},
    }
    path = tmp_path / "grid.yaml"
    path.write_text(yaml.safe_dump(SPEC | LONGER | {"axes": {"arm": arms, "seed": [0, 1, 2]}}))
    began = time.monotonic()
    assert pellucid(path, "--out", tmp_path / "alone", "--jobs", 2).returncode == 0
    whole, draws, ends = time.monotonic() - began, random.Random(0), []
    for _ in range(5):
        process = subprocess.Popen(command(path, "--out", tmp_path / "killed", "--jobs", 2), stderr=subprocess.DEVNULL)
        with suppress(subprocess.TimeoutExpired):
            process.wait(draws.uniform(whole / 10, whole / 3))
        process.kill()
        ends.append(process.wait())
    assert ends.count(-signal.SIGKILL) >= 4
    assert pellucid(path, "--out", tmp_path / "killed", "--jobs", 2).returncode == 0
    assert numbers(tmp_path / "killed") == numbers(tmp_path / "alone")
    tables = [(tmp_path / name / "report" / "tables" / "results.csv").read_text() for name in ("killed", "alone")]
    killed, alone = ([row for row in table.splitlines() if not row.startswith("Cost,")] for table in tables)
    assert len(killed) == 1 + 12 * 8
    assert killed == alone


@pytest.mark.slow
def test_a_cell_that_takes_several_devices_runs_under_torchrun(tmp_path):
    grid = ready(spec(axes={"seed": [0]}, measure=None, resources={"gpus": 2}), tmp_path)
    assert finish(grid).trained == 1
    assert "torchrun" not in grid.log(shard(grid, None)[0]).read_text()


def test_workers_share_the_gpus_out(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,7")
    assert [_devices(number, 1) for number in range(4)] == ["4", "5", "7", "4"]
    assert [_devices(number, 2) for number in range(2)] == ["4,5", "7,4"]
    assert _devices(1, 9) == "4,5,7"


@pytest.mark.parametrize(
    ("changes", "arguments", "message"),
    [
        ({"axes": {"sed": [0]}}, ["{file}", "--out", "{out}"], "did you mean 'seed'"),
        ({"axes": {"seed": []}}, ["{file}", "--out", "{out}"], "the axis 'seed' is empty"),
        (
            {"axes": {"arm": {"M": {"smoothing": {"filter": "median", "size": 4}}}}},
            ["{file}", "--out", "{out}"],
            "cell M: unknown key in smoothing 'size'",
        ),
        ({}, ["{file}", "--out", "/proc/grid"], "cannot write to /proc"),
        ({}, ["{file}", "--out", "{file}"], "grid.yaml is a file; --out must name a folder"),
        ({}, ["{file}"], "grid needs --out DIR"),
        ({}, ["{file}", "--out", "{out}", "--shard", "4/3"], "--shard 4/3 is not a part"),
        ({}, ["--shard", "1/3", "{out}/absent.yaml", "--out", "{out}"], "cannot read"),
        ({}, ["{file}", "--uot", "{out}"], "did you mean '--out'"),
        ({}, ["status", "{out}"], "holds no grid"),
        ({}, ["retry", "{out}"], "holds no grid"),
        ({}, ["ls", "{out}"], "holds no grid"),
        ({}, ["statsu", "{out}"], "statsu"),
        ({"base": {"training": {"device": "cuda"}}}, ["{file}", "--out", "{out}"], "torch sees no"),
        ({}, ["{file}", "--out", "{out}", "--reuse", "{out}/absent"], "there is no such folder"),
    ],
)
def test_bad_input_exits_2_with_one_line_before_anything_runs(
    changes, arguments, message, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    path = tmp_path / "grid.yaml"
    path.write_text(yaml.safe_dump(SPEC | changes))
    words = [argument.format(file=path, out=tmp_path / "out") for argument in arguments]
    monkeypatch.setattr(sys, "argv", ["pellucid", "grid", *words])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    said = capsys.readouterr().err.strip()
    assert stop.value.code == 2, said
    assert message in said
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "out" / "runs").exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["g.yaml", "--ray"], "local"),
        (["--ray", "g.yaml"], "local"),
        (["--ray", "auto", "g.yaml"], "auto"),
        (["g.yaml", "--ray", "head.cluster:6379"], "head.cluster:6379"),
        (["g.yaml", "--ray", "ray://head:10001", "--json"], "ray://head:10001"),
        (["g.yaml", "--ray=head:6379"], "head:6379"),
        (["g.yaml"], None),
    ],
)
def test_ray_may_stand_without_an_address(words, expected):
    import typer

    context = typer.main.get_command(cli.grid_app).make_context("grid", words)
    name, subcommand, rest = context.command.resolve_command(context, context._protected_args + context.args)
    assert name == "run"
    assert subcommand.make_context("run", rest, parent=context).params["ray"] == expected


def test_a_missing_ray_is_told_in_one_sentence(file, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setattr(sys, "argv", ["pellucid", "grid", str(file), "--out", str(tmp_path / "out"), "--ray"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    assert "pip install 'pellucid[ray]'" in capsys.readouterr().err


def test_a_cluster_that_is_not_there_is_told_at_once(file, tmp_path, monkeypatch, capsys):
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'pellucid[ray]'")
    words = [str(file), "--out", str(tmp_path / "out"), "--ray", "127.0.0.1:1"]
    monkeypatch.setattr(sys, "argv", ["pellucid", "grid", *words])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    assert "cannot reach the Ray cluster at '127.0.0.1:1': Connection refused" in capsys.readouterr().err


def test_a_dry_run_prints_the_price_and_writes_nothing(file, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["pellucid", "grid", str(file), "--out", str(tmp_path / "out"), "--dry-run"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 0
    said = capsys.readouterr().out
    assert "N-seed0-" in said
    assert "4 cells, 4 to train: 160 steps" in said
    assert not (tmp_path / "out").exists()
