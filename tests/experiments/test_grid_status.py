import json
import os
import subprocess
import sys
import time

import pytest
import torch

from pellucid.errors import BadInput
from pellucid.experiments.grid import status
from pellucid.experiments.grid.baton import STALE, holding, make_batons
from pellucid.experiments.grid.status import as_plain, seconds_left, standing, standings, status_table, summary
from pellucid.experiments.grid.store import Cell, Grid, read_grid
from pellucid.experiments.grid.watch import Watch
from pellucid.training.checkpoint import save


def fake(folder, count=5):
    cells = [
        Cell(f"A-seed{i}-0", "0", {"seed": f"seed{i}"}, {"model": {"options": "x" * 800}}, 100, "s")
        for i in range(count)
    ]
    grid = Grid(folder, tuple(cells), {"images": 5})
    grid.write()
    make_batons([grid.place(cell.name) for cell in cells])
    return grid


def begin(grid, number, step, seconds=10.0):
    """A run with a checkpoint."""
    run = grid.run(grid.cells[number].name)
    run.mkdir(parents=True)
    (run / "manifest.json").write_text(json.dumps({"status": "running"}))
    header = {"state": {"step": step, "seconds": seconds}}
    save(run / "checkpoint.safetensors", {"w": torch.zeros(1000)}, header)
    return run


def end(grid, number, seconds=30.0, *, measured=False):
    run = begin(grid, number, 100, seconds)
    (run / "manifest.json").write_text(json.dumps({"status": "finished", "cost": {"seconds": seconds}}))
    if measured:
        (run / "measurements").mkdir()
        (run / "measurements" / "measurement.json").write_text("{}")


@pytest.fixture
def grid(tmp_path):
    """Finished, running, failed, stopped, waiting."""
    grid = fake(tmp_path)
    end(grid, 0, measured=True)
    begin(grid, 1, 25)
    begin(grid, 2, 50)
    grid.write_failure(grid.cells[2].name, "the loss is nan")
    begin(grid, 3, 10, 3.0)
    with holding(grid.place(grid.cells[1].name), lost=lambda: None):
        yield grid


@pytest.mark.parametrize(
    ("content", "message"), [("[]", "holds no keys and values"), ('{"status": "finished"}', "what the training cost")]
)
def test_a_damaged_manifest_is_named(grid, content, message):
    (grid.run(grid.cells[0].name) / "manifest.json").write_text(content)
    with pytest.raises(BadInput, match=rf"manifest\.json is damaged: .*{message}"):
        standings(grid)


def test_a_failure_without_a_reason_points_to_the_log(grid):
    grid.failure(grid.cells[2].name).write_text("{}")
    assert standings(grid)[2].note == "its log says why"


def test_each_cell_is_what_its_files_say(grid):
    found = standings(grid)
    assert [one.state for one in found] == ["finished", "running", "failed", "stopped", "waiting"]
    assert [one.step for one in found] == [100, 25, 50, 10, 0]
    assert [one.measured for one in found] == [True, False, False, False, False]
    assert found[1].left == pytest.approx(10 / 25 * 75)
    assert str(os.getpid()) in found[1].note
    assert found[2].note == "the loss is nan"
    assert found[4].left is None


def test_a_silent_holder_runs_nothing(grid):
    held = next(grid.place(grid.cells[1].name).glob("held,*"))
    os.utime(held, (time.time() - STALE - 1,) * 2)
    assert standing(grid, grid.cells[1]).state == "stopped"


def test_time_left_is_that_of_unfinished_cells_shared_by_those_at_work(grid):
    # totals: 30 finished, 10 + 30 running, 10 + 10 failed, 3 + 27 stopped, their mean for the waiting one
    mean = (30 + 40 + 20 + 30) / 4
    assert seconds_left(standings(grid)) == pytest.approx(30 + 27 + mean)
    with holding(grid.place(grid.cells[3].name), lost=lambda: None):
        assert seconds_left(standings(grid)) == pytest.approx((30 + 27 + mean) / 2)
    assert seconds_left(standings(fake(grid.directory / "new"))) is None


def test_the_summary_is_one_line(grid):
    assert summary(standings(grid)) == (
        "5 cells: 1 running, 1 failed, 1 stopped, 1 waiting, 1 finished, 1 measured; about 1 min 27 s left"
    )


def test_a_short_table_shows_what_matters(grid):
    assert status_table(standings(grid)).row_count == 5
    table = status_table(standings(grid), rows=2)
    assert list(table.columns[1].cells) == ["running", "failed"]


def test_json_has_all_cells(grid):
    plain = json.loads(json.dumps(as_plain(grid, standings(grid))))
    assert [cell["state"] for cell in plain["cells"]] == ["finished", "running", "failed", "stopped", "waiting"]
    assert plain["cells"][0]["run"] == str(grid.run("A-seed0-0"))


def test_a_grid_is_read_as_it_was_written(grid):
    assert read_grid(grid.directory) == grid


@pytest.mark.parametrize("content", [None, "{", "{}", "[]", '{"cells": [{}], "measure": null, "resources": {}}'])
def test_a_folder_without_a_grid_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "grid.json").write_text(content)
    with pytest.raises(BadInput, match=str(tmp_path)) as error:
        read_grid(tmp_path)
    assert "\n" not in str(error.value)


def test_two_hundred_cells_are_looked_at_within_a_second_and_twice_as_many_in_twice_the_time(tmp_path):
    times = {}
    for count in (200, 400):
        grid = fake(tmp_path / str(count), count)
        for number in range(0, count, 2):
            end(grid, number, measured=True)
        for number in range(1, count, 4):
            begin(grid, number, 20)
        elapsed = []
        for _ in range(3):
            began = time.process_time()
            found = standings(read_grid(grid.directory))
            status_table(found), summary(found), as_plain(grid, found)
            elapsed.append(time.process_time() - began)
        times[count] = min(elapsed)
        assert len(found) == count
    assert times[200] < 1
    assert times[400] < 3 * times[200] + 0.05


def test_looking_needs_no_torch():
    code = f"import sys, {status.__name__}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_without_a_terminal_each_change_is_a_line(grid, capsys):
    with Watch(grid) as watch:
        watch.tick()
        end(grid, 4)
        watch.tick()
        watch.tick()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("A-seed4-0: finished; 5 cells: 1 running, 1 failed, 1 stopped, 2 finished")


def test_in_a_terminal_the_table_is_live(grid):
    from io import StringIO

    from rich.console import Console

    screen = StringIO()
    with Watch(grid, Console(file=screen, force_terminal=True, width=120)) as watch:
        watch.tick()
    assert "A-seed2-0" in screen.getvalue()
    assert "the loss is nan" in screen.getvalue()
