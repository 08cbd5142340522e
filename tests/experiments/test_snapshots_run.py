"""Runs that keep snapshots: each is a run directory of its own, measured by the grid, and compared at equal terms."""

import copy
import csv
import json

import pytest
import torch
from safetensors.torch import load_file
from small_grid import SPEC, HereAndNow, ready, spec

from pellucid.experiments.config import check
from pellucid.experiments.grid.reuse import reuse
from pellucid.experiments.grid.run import run as run_grid
from pellucid.experiments.train import load_run, train
from pellucid.report import read_run, write_report
from pellucid.training import fit
from pellucid.training.step import optimise


def base():
    changed = copy.deepcopy(SPEC["base"])
    changed["data"] = {"name": "fashion-mnist-mini", "validation": 9800}
    changed["training"] |= {"epochs": 3, "max_steps": None, "snapshots": 2}
    return changed


def of_arms():
    axes = copy.deepcopy(SPEC["axes"])
    axes["arm"] = {name: {**options, "arm": name} for name, options in axes["arm"].items()}
    return spec(base=base(), axes=axes)


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    made = ready(of_arms(), tmp_path_factory.mktemp("snapshots"))
    run_grid(made, [cell.name for cell in made.cells], HereAndNow(made), lambda: None)
    return made


def snapshots(run):
    return sorted((run / "snapshots").iterdir())


def test_a_snapshot_is_the_weights_of_its_epoch(grid):
    run = grid.run(grid.cells[0].name)
    assert [path.name for path in snapshots(run)] == ["epoch-001", "epoch-002"]
    first = snapshots(run)[0]
    _, manifest, model, _ = load_run(first)
    assert manifest["snapshot"] == {"epoch": 1}
    assert manifest["cost"]["seconds"] < json.loads((run / "manifest.json").read_text())["cost"]["seconds"]
    rows = [json.loads(line) for line in (first / "history.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1]
    assert not torch.equal(next(model.parameters()), next(load_run(run)[2].parameters()))


def test_a_run_stopped_between_two_snapshots_ends_with_the_same_ones(grid, tmp_path, monkeypatch):
    config, whole = check(grid.cells[0].config), grid.run(grid.cells[0].name)
    steps = []

    def interrupted(*arguments, **options):
        steps.append(options["step"])
        if len(steps) == 5:  # three steps make an epoch
            raise KeyboardInterrupt
        return optimise(*arguments, **options)

    monkeypatch.setattr(fit, "optimise", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "again")
    assert [path.name for path in snapshots(tmp_path / "again")] == ["epoch-001"]
    train(config, tmp_path / "again")
    assert 0 < steps[5] <= steps[4]  # from a checkpoint on, not from the start
    for ours, theirs in zip(snapshots(tmp_path / "again"), snapshots(whole), strict=True):
        same = load_file(ours / "weights.safetensors"), load_file(theirs / "weights.safetensors")
        assert all(torch.equal(same[0][name], same[1][name]) for name in same[0])


def test_the_grid_measures_them_and_the_report_compares_at_equal_terms(grid):
    run = read_run(grid.run(grid.cells[0].name))
    assert [one.manifest["snapshot"]["epoch"] for one in run.snapshots] == [1, 2]
    assert all("gini" in one.attributions["gradient"].values for one in run.snapshots)
    page = write_report(grid.directory)
    assert "At matched cost" in page.read_text()
    with (page.parent / "tables" / "matched-cost.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["model"] for row in rows if row["key"] == "gini"} == {"N", "F"}
    with (page.parent / "tables" / "results.csv").open(newline="") as file:
        assert len({row["model"] for row in csv.DictReader(file)}) == 4  # snapshots are no runs of their own


def test_they_come_along_where_a_run_is_reused(grid, tmp_path):
    other = ready(of_arms(), tmp_path / "other")
    assert len(reuse(other, [grid.directory])) == 4
    assert len(snapshots(other.run(other.cells[0].name))) == 2
