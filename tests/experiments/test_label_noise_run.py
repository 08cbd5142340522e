"""Runs trained with wrong labels on purpose: what is flipped, and how they are compared with their noiseless twins."""

import json

import pytest
import torch
from PIL import Image

from pellucid.errors import BadInput
from pellucid.experiments.build import load_splits
from pellucid.experiments.config import check
from pellucid.experiments.measure import MeasureSettings, Robustness, measure
from pellucid.experiments.train import load_run, train
from pellucid.files import read_json
from pellucid.metrics.stability import outlier_dependence

TRAINING = {"max_steps": 3, "device": "cpu"}
SETTINGS = MeasureSettings(
    images=6, attributions={"gradient": ("gini",)}, robustness=Robustness(eps=0.0, steps=1, images=1)
)


def rows(run):
    return [json.loads(line) for line in (run / "measurements/gradient.jsonl").read_text().splitlines()]


def config(noise=0.0, **other):
    data = {"name": "fashion-mnist-mini", "validation": 0.1, "label_noise": noise}
    return check({"data": data, "training": TRAINING} | other)


def test_only_the_labels_of_training_images_are_flipped():
    noisy, clean = load_splits(config(0.2)), load_splits(config())
    assert torch.equal(noisy.flipped, noisy.train.labels != clean.train.labels)
    assert noisy.flipped.sum() == round(0.2 * len(clean.train))
    assert not clean.flipped.any()
    assert torch.equal(noisy.train.images, clean.train.images)
    assert noisy.validation.digest() == clean.validation.digest()
    assert noisy.test.digest() == clean.test.digest()


def test_the_seed_decides_which():
    first, same, other = (load_splits(config(0.2, seed=seed)) for seed in (1, 1, 2))
    assert torch.equal(first.train.labels, same.train.labels)
    assert not torch.equal(first.flipped, other.flipped)


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_refuses_a_share_that_is_none(share):
    with pytest.raises(BadInput, match="data.label_noise"):
        config(share)


def test_images_of_one_class_train_no_classifier(tmp_path):
    for split in ("train", "test"):
        (tmp_path / split / "only").mkdir(parents=True)
        for name in "abc":
            Image.new("L", (28, 28)).save(tmp_path / split / "only" / f"{name}.png")
    with pytest.raises(BadInput, match=r"has 1 class \(only\); a classifier needs two"):
        load_splits(check({"data": {"name": "folder", "root": str(tmp_path), "image_size": 28}}))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    made = {"noisy": config(0.5, arm="N-noise", group="label noise"), "clean": config(), "other": config(seed=1)}
    for name, one in made.items():
        train(one, folder / name)
    measure([folder / name for name in made], SETTINGS)
    return folder


def test_the_noisy_run_is_compared_with_its_noiseless_twin(runs):
    twins = [load_run(runs / name)[2] for name in ("noisy", "clean")]
    test = load_run(runs / "noisy")[3].test
    found = rows(runs / "noisy")
    positions = [row["id"] for row in found]
    expected = outlier_dependence(*twins, test.batch(positions)[0])
    assert [row["outlier_dependence"] for row in found] == pytest.approx(expected.tolist(), abs=1e-6)
    assert expected.std() > 0
    about = read_json(runs / "noisy/measurements/measurement.json")
    assert about["noiseless_sha256"] == read_json(runs / "clean/manifest.json")["weights"]["sha256"]
    assert 0 <= about["memorisation"] <= 1


@pytest.mark.parametrize("name", ["clean", "other"])
def test_runs_on_true_labels_have_no_such_twin(runs, name):
    assert "outlier_dependence" not in rows(runs / name)[0]
    about = read_json(runs / name / "measurements/measurement.json")
    assert about["memorisation"] is None
    assert "noiseless_sha256" not in about
