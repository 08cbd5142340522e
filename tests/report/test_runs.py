import json
import shutil

import fake_runs
import numpy as np
import pytest
import yaml

from pellucid.errors import BadInput
from pellucid.files import write_json
from pellucid.report import write_report
from pellucid.report.runs import absent_cells, read_listed, read_run, read_runs


def edit_json(path, **changes):
    value = json.loads(path.read_text()) | changes
    path.write_text(json.dumps(value))


def edit_rows(path, change):
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for index, row in enumerate(rows):
        change(index, row)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_reads_everything_a_run_holds(three_runs):
    runs = read_runs(three_runs)
    assert [run.name for run in runs] == ["N", "A", "G"]
    assert [run.folder for run in runs] == ["runs/N", "runs/A", "runs/G"]
    natural = runs[0]
    assert natural.meaning == "natural training"
    assert natural.seed == 0
    assert natural.setting[0] == "fashion-mnist-mini"
    assert (natural.layer, runs[2].layer) == (None, "pool1")
    assert natural.class_name(8) == "Bag"
    assert natural.class_name(77) == "77"
    assert natural.accuracy.values["correct"].shape == (2000,)
    measured = natural.attributions["gradient"]
    assert measured.ids.tolist() == list(range(0, 180, 3))
    assert measured.values["ssim"].shape == (60, 8)
    assert measured.values["road"].shape == (60, 20)
    assert set(np.unique(measured.values["road"])) <= {0.0, 1.0}
    assert len(natural.history) == 12
    assert natural.examples.images.shape == (4, 1, 28, 28)
    assert natural.examples.before is None
    assert runs[2].examples.before.shape == runs[2].examples.after.shape == (6, 14, 14)


def test_null_becomes_nan_and_nothing_else_does(own_runs):
    path = own_runs / "runs/N/measurements/gradient.jsonl"

    def put_nulls(index, row):
        row["gini"] = None if index == 3 else 0.5
        row["ssim"] = [None if index == 5 else 0.25] + [0.5] * 7

    edit_rows(path, put_nulls)
    values = read_run(own_runs / "runs/N").attributions["gradient"].values
    assert np.isnan(values["gini"]).tolist() == [index == 3 for index in range(12)]
    assert np.isnan(values["ssim"]).sum() == 1
    assert np.isnan(values["ssim"][5, 0])


@pytest.mark.parametrize(
    ("objective", "smoothing", "role"),
    [
        ("natural", None, "N"),
        ("adversarial", None, "A"),
        ("adversarial", {"filter": "gaussian"}, "G"),
        ("adversarial", {"filter": "Mean"}, "M1"),
        ("adversarial", {"filter": "median"}, "M2"),
        ("adversarial", {"filter": "identity"}, "I"),
        ("natural", {"filter": "gaussian"}, "natural + gaussian SmoothBlock"),
        ("elastic", None, "elastic"),
        ("adversarial_legacy", None, "adversarial_legacy"),
    ],
)
def test_roles_come_from_the_config(own_runs, objective, smoothing, role):
    path = own_runs / "runs/N"
    config = yaml.safe_load((path / "config.yaml").read_text())
    config |= {"objective": {"name": objective}, "smoothing": smoothing}
    (path / "config.yaml").write_text(yaml.safe_dump(config))
    assert read_run(path.rename(own_runs / "N-run")).role == role  # whatever the folder is called


def test_the_published_code_s_variant_plays_the_same_role_in_a_group_of_its_own(own_runs):
    path = own_runs / "runs/N/config.yaml"
    config = yaml.safe_load(path.read_text()) | {"objective": {"name": "adversarial_legacy"}, "group": "legacy"}
    path.write_text(yaml.safe_dump(config))
    assert read_run(path.parent).role == "A"
    assert read_run(path.parent, arm="A-legacy").role == "A"


def test_a_grid_s_arm_names_a_recipe_that_plays_no_published_role(own_runs):
    path = own_runs / "runs/N/config.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"objective": {"name": "trades"}}))
    write_json(own_runs / "grid.json", {"cells": [{"name": "N", "choices": {"arm": "B", "seed": "seed0"}}]})
    assert [run.role for run in read_runs(own_runs)] == ["B"]
    write_json(own_runs / "grid.json", {"cells": [{"choices": {}}]})
    with pytest.raises(BadInput, match=r"grid\.json is damaged: each of its cells needs a name"):
        read_runs(own_runs)


def test_failed_and_waiting_cells_of_a_grid_are_left_out(own_runs):
    present = [path.name for path in sorted((own_runs / "runs").iterdir())]
    write_json(own_runs / "grid.json", {"cells": [{"name": name} for name in (*present, "waiting")]})
    write_json(own_runs / "cells" / present[0] / "failed.json", {"reason": "no memory"})
    for other in ("measuring", "of-an-earlier-version"):
        write_json(own_runs / "cells" / other / "failed.json", {"reason": "no memory"})
    assert absent_cells(own_runs) == [present[0], "waiting"]
    page = write_report(own_runs).read_text(encoding="utf-8")
    assert f"2 cells are not in this report, having failed or not begun: {present[0]}, waiting." in page
    assert sorted(run.path.name for run in read_runs(own_runs)) == present[1:]


def test_runs_of_one_role_are_called_by_their_folders(tmp_path):
    for seed in (0, 2, 10):
        for arm in ("N", "A"):
            fake_runs.write_run(tmp_path / "runs" / f"{arm}-seed{seed}", arm, seed=seed, images=5)
    fake_runs.write_run(tmp_path / "runs" / "G", "G", images=5)
    runs = read_runs(tmp_path)
    assert [run.name for run in runs] == [
        *("N-seed0", "N-seed2", "N-seed10", "A-seed0", "A-seed2", "A-seed10"),
        "G",
    ]
    assert [run.role for run in runs] == ["N", "N", "N", "A", "A", "A", "G"]
    assert [run.seed for run in runs] == [0, 2, 10, 0, 2, 10, 0]


def test_names_are_unique_even_if_a_folder_is_called_like_a_role(tmp_path):
    fake_runs.write_run(tmp_path / "A", "N", seed=0, images=5)
    fake_runs.write_run(tmp_path / "b", "N", seed=1, images=5)
    fake_runs.write_run(tmp_path / "c", "A", seed=0, images=5)
    assert sorted(run.name for run in read_runs(tmp_path)) == ["A", "b", "c"]


def test_listed_runs_are_ordered_and_named_alike(three_runs, tmp_path):
    paths = [three_runs / "runs" / arm for arm in "GN"]
    assert [run.name for run in read_listed(paths)] == ["N", "G"]
    again = fake_runs.write_run(tmp_path / "again", "G", seed=1, images=5)
    assert [run.name for run in read_listed([*paths, again])] == ["N", str(paths[0]), str(again)]


def test_the_folder_may_itself_be_the_run(three_runs):
    (run,) = read_runs(three_runs / "runs/A")
    assert (run.name, run.folder) == ("A", ".")


def test_what_is_missing_is_named(own_runs, tmp_path):
    with pytest.raises(BadInput, match="no folder .*nowhere"):
        read_runs(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="no run directory in .*empty"):
        read_runs(tmp_path / "empty")
    shutil.rmtree(own_runs / "runs/A/measurements")
    with pytest.raises(BadInput, match=r"runs/A has not been measured: run `pellucid measure`"):
        read_runs(own_runs)
    edit_json(own_runs / "runs/A/manifest.json", status="running")
    with pytest.raises(BadInput, match=r"runs/A has not finished training"):
        read_runs(own_runs)


def test_a_measurement_of_other_weights_is_refused(own_runs):
    path = own_runs / "runs/A"
    digest = json.loads((path / "manifest.json").read_text())["weights"]["sha256"]
    edit_json(path / "measurements/measurement.json", weights_sha256=digest)
    assert len(read_runs(own_runs)) == 3
    edit_json(path / "measurements/measurement.json", weights_sha256="of an older training")
    with pytest.raises(BadInput, match="runs/A was measured before its last training"):
        read_runs(own_runs)


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    "name",
    [
        "manifest.json",
        "history.jsonl",
        "measurements/measurement.json",
        "measurements/accuracy.jsonl",
        "measurements/gradient.jsonl",
        "measurements/examples.npz",
    ],
)
def test_a_truncated_file_is_named(own_runs, name):
    truncate(own_runs / "runs/G" / name)
    with pytest.raises(BadInput, match=rf"runs/G/{name} is damaged"):
        read_runs(own_runs)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.yaml", "a: [1, 2", "not valid YAML"),
        ("config.yaml", "- 1", "should hold one object, not list"),
        ("config.yaml", "data: {}\nmodel: {}\nobjective: {}", "key 'objective.name' is missing"),
        ("config.yaml", None, "cannot read"),
        ("manifest.json", '{"status": "finished"}', "key 'data' is missing"),
        ("measurements/gradient.jsonl", "", "at least one"),
        ("measurements/gradient.jsonl", "[1]\n", "one object a line"),
        ("measurements/gradient.jsonl", '{"id": 1}\n{"id": 2, "gini": 1}\n', "line 2: .* differ .* gini"),
        ("measurements/gradient.jsonl", '{"gini": 1}\n', "no column 'id'"),
        ("measurements/gradient.jsonl", '{"id": 1, "gini": "x"}\n', "'gini' is damaged: it holds text"),
        ("measurements/gradient.jsonl", '{"id": 1, "gini": {}}\n', "'gini' is damaged"),
        ("measurements/gradient.jsonl", '{"id": 1, "ssim": [1, 2]}\n', "'ssim' should hold 8 numbers"),
        ("measurements/gradient.jsonl", '{"id": 1, "road": [true]}\n', "'road' should hold 20 numbers"),
        ("measurements/gradient.jsonl", '{"id": 1, "x": [1, 2]}\n{"id": 2, "x": [1]}\n', "lists of equal length"),
        ("measurements/gradient.jsonl", '{"id": 1}\n{"id": 1}\n', "must name every image once"),
        ("measurements/gradient.jsonl", None, "cannot read"),
        ("measurements/examples.npz", "not numpy", "is damaged"),
    ],
)
def test_damage_is_described(own_runs, name, content, message):
    path = own_runs / "runs/A" / name
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(BadInput, match=message) as caught:
        read_runs(own_runs)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_pickles_are_never_loaded(own_runs):
    path = own_runs / "runs/A/measurements/examples.npz"
    np.savez(path, ids=np.array([{"not": "an array"}], dtype=object))
    with pytest.raises(BadInput, match=r"examples\.npz is damaged"):
        read_runs(own_runs)


def test_examples_must_fit_together(own_runs):
    path = own_runs / "runs/A/measurements/examples.npz"
    arrays = dict(np.load(path))
    np.savez(path, **arrays | {"map:gradient": arrays["map:gradient"][:1]})
    with pytest.raises(BadInput, match="4 ids came with 1 entries of 'map:gradient'"):
        read_runs(own_runs)
    np.savez(path, **arrays | {"map:gradient": arrays["map:gradient"][:, 0]})
    with pytest.raises(BadInput, match=r"'map:gradient' should be \[k, H, W\], not \[4, 28\]"):
        read_runs(own_runs)
    del arrays["images"]
    np.savez(path, **arrays)
    with pytest.raises(BadInput, match="needs ids, labels and images"):
        read_runs(own_runs)
    path.unlink()
    assert read_runs(own_runs)[1].examples is None
