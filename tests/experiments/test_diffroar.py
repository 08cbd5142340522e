"""DiffROAR from end to end on a few hundred made-up images, with trainings of a few steps."""

import json
import os
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from PIL import Image

from pellucid import cli
from pellucid.errors import BadInput
from pellucid.experiments import diffroar as study
from pellucid.experiments.config import check
from pellucid.experiments.diffroar import DiffroarSettings, cell_settings, diffroar, masked, pixel_mean
from pellucid.experiments.suite import explainer
from pellucid.experiments.train import load_run, train
from pellucid.metrics.faithfulness import keep_mask
from pellucid.training import fit as fitting
from pellucid.training.settings import TrainingSettings

TINY = DiffroarSettings(levels=(0.1, 0.4), seeds=2)
ONE_LEVEL = DiffroarSettings(levels=(0.1,), seeds=2)


def write_images(root):
    """Two classes of 16 × 16 images, told apart by where a bright square is; the rest is noise."""
    draws = np.random.default_rng(0)
    for split, count in (("train", 60), ("test", 30)):
        for label, name in enumerate(("left", "right")):
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = draws.integers(0, 120, (16, 16), dtype=np.uint8)
                pixels[4:10, 2 + 6 * label : 8 + 6 * label] += 120
                Image.fromarray(pixels).save(root / split / name / f"{number}.png")


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    root = tmp_path_factory.mktemp("images")
    write_images(root)
    return check(
        {
            "data": {"name": "folder", "root": str(root), "validation": 10},
            "training": {"epochs": 4, "batch_size": 10, "device": "cpu", "optimizer": {"name": "adam", "lr": 0.003}},
        }
    )


@pytest.fixture(scope="module")
def original(tmp_path_factory, config):
    directory = tmp_path_factory.mktemp("runs") / "original"
    train(config, directory)
    return directory


@pytest.fixture
def run(original, tmp_path):
    """A copy of the trained run, not yet measured."""
    return shutil.copytree(original, tmp_path / "run", ignore=shutil.ignore_patterns("measurements"))


@pytest.fixture(scope="module")
def measured(original):
    diffroar([original], TINY)
    return json.loads((original / "measurements" / "diffroar.json").read_text())["attributions"]["gradient"]


def levels_of(run, name="gradient"):
    return json.loads((run / "measurements" / "diffroar.json").read_text())["attributions"][name]["levels"]


def through_the_command_line(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["pellucid", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    shown = capsys.readouterr()
    return stopped.value.code, shown.out, shown.err


def test_every_cell_has_its_accuracy_and_leaves_no_weights(original, measured):
    assert [row["level"] for row in measured["levels"]] == [0.1, 0.4]
    for row in measured["levels"]:
        assert len(row["most"]) == len(row["least"]) == len(row["difference"]) == 2
        assert all(0 <= accuracy <= 1 for side in ("most", "least") for accuracy in row[side])
        expected = [most - least for most, least in zip(row["most"], row["least"], strict=True)]
        assert row["difference"] == pytest.approx(expected)
        assert row["mean"] == pytest.approx(sum(expected) / 2)
    cells = list((original / "measurements" / "diffroar").iterdir())
    found, losses = {}, set()
    for path in cells:
        cell = json.loads(path.read_text())
        found[cell["level"], cell["kept"], cell["seed"]] = cell["accuracy"]
        losses.add(cell["training_loss"])
    assert len(cells) == len(found) == len(losses) == 8
    for row in measured["levels"]:
        assert all(row[side][seed] == found[row["level"], side, seed] for side in ("most", "least") for seed in (0, 1))


def test_the_gradient_of_a_trained_model_beats_its_inverse(measured):
    assert measured["levels"][0]["mean"] > 0.1


def test_a_cell_is_a_plain_training_on_masked_images(original, measured, config):
    """The same numbers from the parts: masks by hand, a fresh model, the natural objective, the last epoch."""
    from pellucid.experiments.build import build_model
    from pellucid.objectives import natural
    from pellucid.randomness import seed_from
    from pellucid.training.fit import fit
    from pellucid.training.validate import clean_accuracy

    _, _, model, splits = load_run(original)
    parts = []
    for part in (splits.train, splits.test):
        x = part.images.float() / 255
        x.requires_grad_()
        model(x).amax(1).sum().backward()
        order = x.grad.flatten(1).abs().argsort(1, descending=True)
        images = torch.full_like(part.images, round(splits.train.images.double().mean().item()))
        kept = order[:, : round(0.1 * 256)]
        images.flatten(1).scatter_(1, kept, part.images.flatten(1).gather(1, kept))
        parts.append(type(part)(part.name, part.split, images, part.labels, part.classes, part.ids))
    seed = seed_from("diffroar", 1)
    fresh = build_model(config.model_copy(update={"seed": seed}), splits.train)
    settings = config.training.model_copy(update={"choose": "last"})
    state = fit(fresh, natural, *parts, settings=settings, seed=seed, directory=original.parent / "by hand")
    assert measured["levels"][0]["most"][1] == clean_accuracy(fresh.eval(), parts[1])
    (cell,) = (original / "measurements" / "diffroar").glob("gradient-most-0.1-seed-1-*.json")
    assert json.loads(cell.read_text())["training_loss"] == state.history[-1]["loss"]


def test_masking_keeps_a_share_and_fills_the_rest(original):
    _, _, model, splits = load_run(original)
    test, explain = splits.test, explainer("gradient")
    most, least = (masked(test, model, explain, level=0.25, side=side, fill=255) for side in ("most", "least"))
    assert most.images.dtype == torch.uint8
    assert torch.equal(most.labels, test.labels)
    changed = [(part.images != test.images).flatten(1).sum(1) for part in (most, least)]
    assert (torch.stack(changed) == 256 - 64).all()  # no pixel of these images is 255
    both = (most.images == test.images) & (least.images == test.images)
    assert not both.any()
    x, _ = test.batch(range(len(test)))
    kept = keep_mask(explain.attribution(model, x, model(x).argmax(1), range(len(test))), 0.25, most=True)
    assert torch.equal(most.images == test.images, kept)


def test_the_fill_is_the_mean_of_all_pixels_of_all_channels(original):
    train_images = load_run(original)[3].train
    assert pixel_mean(train_images) == round(train_images.images.double().mean().item())


def test_a_measured_run_is_not_trained_again(original, measured, monkeypatch):
    monkeypatch.setattr(study, "_train", lambda *_: pytest.fail("trained again"))
    before = levels_of(original)
    diffroar([original], TINY)
    assert levels_of(original) == before == measured["levels"]


def test_stopped_in_the_middle_it_ends_with_the_same_numbers(run, measured, monkeypatch):
    genuine, steps, stops = fitting.optimise, 0, [3, 60, 130]

    def stop_there(*args, **options):
        nonlocal steps
        steps += 1
        if stops and steps == stops[0]:
            stops.pop(0)
            raise KeyboardInterrupt
        return genuine(*args, **options)

    monkeypatch.setattr(fitting, "optimise", stop_there)
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            diffroar([run], ONE_LEVEL)
    diffroar([run], ONE_LEVEL)
    assert levels_of(run) == measured["levels"][:1]
    whole = 4 * 4 * 11  # cells, epochs, batches
    assert steps <= whole + 3 * 11, "more than the epochs in hand were trained again"


def test_killed_and_started_again_it_ends_with_the_same_numbers(run, measured, monkeypatch, capsys):
    arguments = ["diffroar", str(run), "--level", "0.1", "--seeds", "2"]
    process = subprocess.Popen([sys.executable, "-m", "pellucid", *arguments], stderr=subprocess.DEVNULL)
    cells = run / "measurements" / "diffroar"
    while not list(cells.glob("*.json")) and process.poll() is None:
        time.sleep(0.005)
    process.kill()
    process.wait()
    assert 1 <= len(list(cells.glob("*.json"))) < 4
    code, out, _ = through_the_command_line(monkeypatch, capsys, *arguments, "--json")
    assert code == 0
    assert levels_of(run) == measured["levels"][:1]
    (row,) = json.loads(out)["diffroar"]
    assert (row["run"], row["attribution"], row["level"]) == ("run", "gradient", 0.1)
    assert row["difference"]["value"] == pytest.approx(measured["levels"][0]["mean"])
    assert row["difference"]["low"] < row["difference"]["value"] < row["difference"]["high"]


@pytest.mark.parametrize("change", [{"epochs": 1}, {"levels": (0.2,)}, {"attributions": ("random_map",)}])
def test_other_settings_are_other_cells(original, run, measured, change):
    shutil.copytree(original / "measurements", run / "measurements")
    other = DiffroarSettings(**{"levels": (0.1,), "seeds": 1} | change)
    diffroar([run], other)
    name = other.attributions[0]
    assert len(list((run / "measurements" / "diffroar").iterdir())) == 8 + 2
    assert [row["level"] for row in levels_of(run, name)] == list(other.levels)
    if name == "random_map":  # of the same weights and budget, so both are shown
        assert levels_of(run, "gradient") == measured["levels"]


def test_the_trainings_of_other_weights_do_not_count(run, config):
    settings = DiffroarSettings(levels=(0.1,), seeds=1, epochs=1)
    diffroar([run], settings)
    manifest = json.loads((run / "manifest.json").read_text())
    train(config.model_copy(update={"seed": 1}), run.parent / "other")  # as if it had been trained anew
    other = json.loads((run.parent / "other" / "manifest.json").read_text())
    (run / "weights.safetensors").write_bytes((run.parent / "other" / "weights.safetensors").read_bytes())
    (run / "manifest.json").write_text(json.dumps(manifest | {"weights": other["weights"]}))
    diffroar([run], settings)
    assert len(list((run / "measurements" / "diffroar").iterdir())) == 4


def test_the_control_is_near_zero(run):
    settings = DiffroarSettings(attributions=("random_map",), levels=(0.3,), seeds=4, epochs=2)
    diffroar([run], settings)
    assert abs(levels_of(run, "random_map")[0]["mean"]) < 0.25


def test_cells_train_naturally_for_the_budget_of_the_run():
    own = TrainingSettings(epochs=7, max_steps=50, choose="robust", robust_validation={"eps": 0.1}, batch_size=32)
    same = cell_settings(own, None)
    assert (same.epochs, same.max_steps, same.choose, same.robust_validation) == (7, 50, "last", None)
    assert same.batch_size == 32
    chosen = cell_settings(own, 3)
    assert (chosen.epochs, chosen.max_steps) == (3, None)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"levels": (0.1, 1.0)}, "between 0 and 1; got 1"),
        ({"levels": (0.0,)}, "between 0 and 1; got 0"),
        ({"levels": (float("nan"),)}, "between 0 and 1; got nan"),
        ({"seeds": 0}, "at least 1 of seeds; got 0"),
        ({"epochs": 0}, "at least 1 of epochs; got 0"),
        ({"attributions": ("gradeint",)}, "did you mean 'gradient'"),
    ],
)
def test_refuses_settings_that_make_no_sense(wrong, message):
    with pytest.raises(BadInput, match=message):
        DiffroarSettings(**wrong)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{run}", "--level", "1.5"], "between 0 and 1; got 1.5"),
        (["{run}", "--seeds", "0"], "--seeds"),
        (["{run}", "--epochs", "0"], "--epochs"),
        (["{run}", "--attribution", "gradeint"], "did you mean 'gradient'"),
        (["{empty}"], "is not a run directory"),
        (["{run}", "{unfinished}"], "not trained to its end"),
        (["{run}", "--lvel", "0.1"], "did you mean '--level'"),
    ],
)
def test_bad_input_exits_2_with_one_line_and_trains_nothing(run, tmp_path, monkeypatch, capsys, arguments, message):
    unfinished = shutil.copytree(run, tmp_path / "unfinished")
    manifest = json.loads((unfinished / "manifest.json").read_text())
    (unfinished / "manifest.json").write_text(json.dumps(manifest | {"status": "running"}))
    monkeypatch.setattr(study, "_train", lambda *_: pytest.fail("trained"))
    names = {"run": run, "empty": tmp_path, "unfinished": unfinished}
    code, _, err = through_the_command_line(
        monkeypatch, capsys, "diffroar", *(argument.format(**names) for argument in arguments)
    )
    assert code == 2
    assert message in err
    assert len(err.strip().splitlines()) == 1


def test_the_command_prints_a_table(original, measured, monkeypatch, capsys):
    monkeypatch.setattr(study, "_train", lambda *_: pytest.fail("trained again"))
    monkeypatch.setitem(os.environ, "COLUMNS", "120")
    code, out, _ = through_the_command_line(
        monkeypatch, capsys, "diffroar", original, "--level", "0.4", "--level", "0.1", "--seeds", "2"
    )
    assert code == 0
    assert "10 %" in out
    assert "40 %" in out
    assert "original" in out
