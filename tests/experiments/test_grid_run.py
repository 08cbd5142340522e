"""Grids from file to report, in this process; test_grid_processes.py has those with workers, deaths and Ray."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import small_grid
import yaml
from small_grid import finish, numbers, ready, spec

from pellucid.errors import BadInput
from pellucid.experiments.config import check
from pellucid.experiments.grid.measuring import measure_settings
from pellucid.experiments.grid.price import price
from pellucid.experiments.grid.reuse import reuse
from pellucid.experiments.grid.run import Outcome, planned, retry, shard
from pellucid.experiments.grid.status import standings
from pellucid.experiments.train import read_run
from pellucid.report import read_runs


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A finished grid of N and F with two seeds each."""
    folder = tmp_path_factory.mktemp("grid")
    assert finish(ready(spec(), folder)) == Outcome(cells=4, trained=4, measured=True)
    return folder


@pytest.fixture
def copied(done, tmp_path):
    """The same, to be changed."""
    return shutil.copytree(done, tmp_path / "copied")


def weights(folder):
    return {path.parent.name: path.stat().st_mtime_ns for path in folder.glob("runs/*/weights.safetensors")}


def test_all_cells_of_a_setting_are_measured_on_the_same_images(done):
    ids = [[json.loads(line)["id"] for line in path.open()] for path in done.glob("runs/*/measurements/gradient.jsonl")]
    assert len(ids) == 4
    assert len(ids[0]) == 6
    assert all(other == ids[0] for other in ids)


def test_a_finished_grid_is_left_as_it_is(copied):
    before, files = weights(copied), numbers(copied)
    assert finish(ready(spec(), copied)) == Outcome(4, 4, True)
    assert weights(copied) == before
    assert numbers(copied) == files


def test_shards_train_each_cell_once_and_the_last_one_measures(done, tmp_path):
    grid = ready(spec(), tmp_path)
    assert sorted(name for part in ("1/3", "2/3", "3/3") for name in shard(grid, part)) == sorted(shard(grid, None))
    outcomes = [finish(grid, part) for part in ("1/3", "2/3", "3/3")]
    assert outcomes == [Outcome(4, 2, False), Outcome(4, 3, False), Outcome(4, 4, True)]
    assert numbers(tmp_path) == numbers(done)


@pytest.mark.parametrize("part", ["0/3", "4/3", "1/0", "1", "a/b", "-1/3"])
def test_a_part_that_is_none_is_refused(done, part):
    with pytest.raises(BadInput, match=f"--shard {part} is not a part"):
        shard(planned(spec(), done), part)


def test_a_change_trains_only_what_it_touches_and_the_report_knows_the_present_cells_alone(copied):
    before = weights(copied)
    arms = small_grid.SPEC["axes"]["arm"] | {"F": {"objective": {"name": "fast_adversarial", "eps": 0.04}}}
    assert finish(ready(spec(axes={"arm": arms, "seed": [0]}), copied)) == Outcome(2, 2, True)
    after = weights(copied)
    assert len(after) == 5
    assert {name: after[name] for name in before} == before
    (new,) = after.keys() - before.keys()
    assert new.startswith("F-seed0")
    present = {run.path.name for run in read_runs(copied)}
    assert present == {new, next(name for name in before if name.startswith("N-seed0"))}


def test_a_failed_cell_keeps_its_log_and_stops_no_other(tmp_path):
    arms = {"hot": {"training": {"optimizer": {"name": "sgd", "lr": 1e30}}}, "N": {}}
    grid = ready(spec(axes={"arm": arms}), tmp_path)
    bad, good = shard(grid, None)
    done = finish(grid)
    assert re.match(rf"1 of 2 cells failed: {bad} \(training stopped at .*grid retry", done.failure)
    assert "\n" not in done.failure
    assert done.measured
    assert [one.state for one in standings(grid)] == ["failed", "finished"]
    log = grid.log(bad).read_text()
    assert "Traceback" in log
    assert "learning rate" in log
    assert "1 of 2 cells failed" in finish(grid).failure
    assert grid.log(bad).read_text() == log  # it is not run again until it is asked for
    assert grid.trained(good)
    assert [run.path.name for run in read_runs(tmp_path)] == [good]


def test_the_others_are_reported_all_the_same(tmp_path):
    file, out = tmp_path / "grid.yaml", tmp_path / "out"
    arms = {"hot": {"training": {"optimizer": {"name": "sgd", "lr": 1e30}}}, "N": {}}
    file.write_text(yaml.safe_dump(small_grid.SPEC | {"axes": {"arm": arms}}))
    words = [sys.executable, "-m", "pellucid", "grid", str(file), "--out", str(out), "--json"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stderr.count("Traceback")) == (1, 0)
    assert re.search(r"1 of 2 cells failed: hot-\w+ \(training stopped", done.stderr)
    assert {cell["state"] for cell in json.loads(done.stdout)["cells"]} == {"failed", "finished"}
    page = (out / "report" / "index.html").read_text(encoding="utf-8")
    assert re.search(r"1 cell is not in this report, having failed or not begun: hot-\w+\.", page)


def test_a_retry_clears_failures(copied):
    grid = planned(spec(), copied)
    name = shard(grid, None)[1]
    shutil.rmtree(grid.run(name))
    grid.write_failure(name, "the machine lost its power")
    assert "the machine lost its power" in finish(grid).failure
    assert retry(grid) == [name]
    assert finish(grid) == Outcome(4, 4, True)


def test_measuring_that_fails_says_so_and_is_tried_again(copied):
    grid = ready(spec(), copied)
    manifest = grid.run(shard(grid, None)[0]) / "manifest.json"
    before = manifest.read_text()
    manifest.write_text(before.replace('"test_sha256": "', '"test_sha256": "0'))
    done = finish(grid)
    assert done.failure.startswith("measuring the 4 trained cells failed: the test images found for")
    assert not done.measured
    manifest.write_text(before)
    assert finish(grid).measured


def test_cells_with_different_test_data_are_measured_apart(tmp_path):
    grid = ready(spec(axes={"data.attention": [None, "garment"], "seed": [0]}), tmp_path)
    assert finish(grid).measured
    for cell in grid.cells:
        measurement = json.loads((grid.run(cell.name) / "measurements" / "measurement.json").read_text())
        assert measurement["images"]["compared"] == [cell.name]


def test_a_cell_has_the_threads_that_the_grid_gives_it(tmp_path):
    grid = ready(spec(axes={"seed": [0]}, measure=None, resources={"cpus": 3}), tmp_path)
    finish(grid)
    manifest = json.loads((grid.run(grid.cells[0].name) / "manifest.json").read_text())
    assert manifest["hardware"]["threads"] == 3


def test_nothing_is_measured_where_nothing_is_to_be(tmp_path):
    assert finish(ready(spec(measure=None, axes={"seed": [0]}), tmp_path)) == Outcome(1, 1, False)


def test_finished_runs_from_elsewhere_are_reused(done, tmp_path):
    grid = ready(spec(axes={"objective": ["natural"], "seed": [0, 1, 2]}), tmp_path / "new")
    assert [name.rpartition("-")[0] for name in reuse(grid, [done])] == ["natural-seed0", "natural-seed1"]
    name = shard(grid, None)[0]
    twin = next(done.glob("runs/N-seed0-*"))
    assert os.path.samefile(grid.run(name) / "weights.safetensors", twin / "weights.safetensors")
    assert not (grid.run(name) / "measurements").exists()
    assert [one.state for one in standings(grid)] == ["finished", "finished", "waiting"]
    assert reuse(grid, [done]) == []


def test_a_reused_run_is_called_what_the_cell_is_called(done, tmp_path):
    axes = {"arm": {"A": {"group": "one", "objective": "natural"}, "B": {"objective": "natural"}}, "seed": [0]}
    grid = ready(spec(axes=axes), tmp_path / "new")
    twin = next(done.glob("runs/N-seed0-*"))
    before = (twin / "config.yaml").read_text()
    assert len(reuse(grid, [done])) == 2
    names = [(read_run(grid.run(cell.name))[0].arm, read_run(grid.run(cell.name))[0].group) for cell in grid.cells]
    assert names == [(check(cell.config).arm, check(cell.config).group) for cell in grid.cells]
    assert "one" in {group for _, group in names}
    assert (twin / "config.yaml").read_text() == before
    assert finish(grid).measured


def test_a_run_of_other_data_or_another_version_is_not_reused(copied, tmp_path):
    grid = ready(spec(axes={"seed": [0, 1]}), tmp_path / "new")
    for seed, (key, value) in enumerate((("test_sha256", "0" * 64), ("pellucid", "0.0.0"))):
        path = next(copied.glob(f"runs/N-seed{seed}-*")) / "manifest.json"
        manifest = json.loads(path.read_text())
        (manifest["data"] if key in manifest["data"] else manifest["versions"])[key] = value
        path.write_text(json.dumps(manifest))
    assert reuse(grid, [copied]) == []
    with pytest.raises(BadInput, match="there is no such folder"):
        reuse(grid, [tmp_path / "absent"])


def test_other_programs_files_of_that_name_are_passed_over(tmp_path):
    (tmp_path / "web").mkdir()
    for content in ("[]", '{"status": "finished"}', '{"status": "finished", "versions": 3}'):
        (tmp_path / "web" / "manifest.json").write_text(content)
        assert reuse(ready(spec(axes={"seed": [0]}), tmp_path / "new"), [tmp_path / "web"]) == []


def test_a_cell_that_is_called_otherwise_is_not_trained_again(copied):
    before = weights(copied)
    axes = {"seed": [0, 1], "budget": {"key": "training.max_steps", "values": [12, 13]}, "arm": {"Natural": {}}}
    grid = planned(spec(axes=axes), copied)
    trained = [cell.name for cell in grid.cells if grid.trained(cell.name)]
    assert sorted(trained) == sorted(name for name in before if name.startswith("N"))
    assert [cell.choices["budget"] for cell in grid.cells if grid.trained(cell.name)] == ["budget12"] * 2
    assert len({cell.name for cell in grid.cells}) == 4


def test_the_price_counts_what_is_left_and_scales_with_the_cells(copied):
    grid = planned(spec(), copied)
    settings = measure_settings(grid.measure)
    cost = price(grid.cells, lambda name: name.startswith("N"), settings, jobs=2)
    assert (cost.cells, cost.to_train, cost.steps) == (4, 2, 24)
    assert cost.passes == 24 * 64 * 2  # one step of attack, one of training
    assert cost.seconds > 0
    assert cost.measuring_seconds > 0
    assert cost.memory_mb > 100
    assert cost.disk_mb == pytest.approx(2 * 16 * 44_426 / 2**20 + 4 * 0.312)
    alone = price(grid.cells, lambda name: name.startswith("N"), None, jobs=1)
    assert (alone.seconds, alone.memory_mb) == pytest.approx((cost.seconds * 2, cost.memory_mb / 2))
    free = price(grid.cells, lambda _: True, None, jobs=2)
    assert (free.to_train, free.seconds, free.measuring_seconds, free.disk_mb) == (0, 0, 0, 0)
    assert "4 cells, 2 to train: 24 steps" in str(cost)


def test_a_folder_that_cannot_be_written_is_refused_before_anything_is_planned(tmp_path):
    (tmp_path / "file").touch()
    broken = spec(axes={"sed": [0]})
    with pytest.raises(BadInput, match="file is a file; --out must name a folder"):
        planned(broken, tmp_path / "file" / "grid")
    with pytest.raises(BadInput, match="cannot write to /proc"):
        planned(broken, Path("/proc/grid"))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
