"""A measurement that torchrun's processes share has the numbers of one process, byte for byte."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pellucid.errors import BadInput
from pellucid.experiments.config import check
from pellucid.experiments.measure.team import Team
from pellucid.experiments.train import train

SCRIPT = Path(__file__).with_name("measure_processes.py")
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    run = tmp_path_factory.mktemp("trained") / "run"
    train(check({"training": {"max_steps": 40, "device": "cpu"}}), run)
    return run


def measured(run, processes, rule="all", dies_after=-1):
    """Run the script with that many processes; its exit code."""
    start = [sys.executable] if processes == 1 else [*TORCHRUN, "--nproc-per-node", str(processes)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [*start, str(SCRIPT), str(run), rule, str(dies_after)]
    return subprocess.run(command, env=environment, check=False, timeout=240, capture_output=True).returncode


def files(run):
    return {name: (run / "measurements" / name).read_bytes() for name in ("accuracy.jsonl", "gradient.jsonl")}


def units(run):
    return (run / "units.log").read_text().splitlines()


def about(run):
    return json.loads((run / "measurements" / "measurement.json").read_text())


def copied(run, path):
    shutil.copytree(run, path)
    return path


def test_any_number_of_processes_killed_and_continued_with_another_has_the_same_bytes(trained, tmp_path):
    whole, run = copied(trained, tmp_path / "whole" / "run"), copied(trained, tmp_path / "run")
    assert measured(whole, 1) == 0
    assert len(units(whole)) == 7
    assert measured(run, 3, dies_after=1) != 0  # five of the seven units at least are left
    assert not (run / "measurements" / "measurement.json").exists()
    before = len(units(run))
    assert 1 <= before <= 3
    assert measured(run, 2) == 0
    assert len(units(run)) < before + 7  # what was noted was not measured again
    assert set(units(run)) == set(units(whole))
    assert files(run) == files(whole)
    assert not list((run / "measurements").glob(".*"))
    found, expected = about(run), about(whole)
    assert (found.pop("processes"), expected.pop("processes")) == (2, 1)
    assert {**found, "seconds": 0} == {**expected, "seconds": 0}


@pytest.mark.slow
def test_two_processes_stop_where_one_does(trained, tmp_path):
    one, two = copied(trained, tmp_path / "one" / "run"), copied(trained, tmp_path / "two" / "run")
    assert measured(one, 1, "gini:ci<0.015") == 0
    assert measured(two, 2, "gini:ci<0.015") == 0
    assert about(one)["stopped"] == about(two)["stopped"]
    assert files(one) == files(two)
    assert len(units(one)) <= len(units(two)) <= len(units(one)) + 1


def test_machines_that_see_different_runs_do_not_measure_together(monkeypatch):
    team = Team(1, 2)
    monkeypatch.setattr(Team, "gather", lambda self, value: ['{"code": 1}', value])
    team.check_same({"code": 1})
    with pytest.raises(BadInput, match="process 1 sees other weights, test images, code or settings"):
        team.check_same({"code": 2})
    assert team.share([0, 1, 2, 3]) == [1, 3]
