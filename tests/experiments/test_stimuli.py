"""Images for a study: classified correctly by all runs, of every class, never an excluded one; maps of each run."""

import shutil
from collections import Counter

import numpy as np
import pytest
import torch

from pellucid.errors import BadInput
from pellucid.experiments.config import check
from pellucid.experiments.measure.runs import loaded, predictions
from pellucid.experiments.stimuli import _stratified, choose_stimuli
from pellucid.experiments.suite import explainer
from pellucid.experiments.train import train


@pytest.fixture(scope="session")
def two_runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two-runs")
    for name, seed, arm in (("first", 0, "N"), ("second", 1, None)):
        config = {
            "data": {"name": "fashion-mnist-mini"},
            "training": {"max_steps": 40, "device": "cpu"},
            "seed": seed,
            "arm": arm,
        }
        train(check(config), folder / name)
    return [folder / "first", folder / "second"]


@pytest.fixture(scope="module")
def chosen(two_runs):
    return choose_stimuli(two_runs, images=8, practice=2, seed=3)


def test_every_image_is_classified_correctly_by_both(two_runs, chosen):
    assert len(chosen.numbers) == len(set(chosen.numbers)) == len(chosen.classes) == 10
    for directory in two_runs:
        run = loaded(directory)
        found = predictions(run.model, run.test)[chosen.numbers]
        assert [run.test.classes[label] for label in found] == chosen.classes
        np.testing.assert_array_equal(chosen.pixels, run.test.batch(chosen.numbers)[0].numpy())


def test_the_maps_are_those_of_the_attribution_whatever_the_batch(two_runs, chosen):
    for directory in two_runs:
        run = loaded(directory)
        for place in (0, 9):
            x, y = run.test.batch([chosen.numbers[place]])
            alone = explainer("gradient")(run.model, x, y, [chosen.numbers[place]])[0, 0]
            np.testing.assert_allclose(chosen.maps[directory.name][place], alone.numpy(), rtol=1e-4, atol=1e-6)


def test_models_are_called_by_their_arm_else_by_their_folder(chosen):
    assert chosen.models == {"first": "N", "second": "second"}


def test_the_choice_follows_the_seed_and_leaves_out_what_is_excluded(two_runs, chosen):
    again = choose_stimuli(two_runs, images=8, practice=2, seed=3)
    assert again.numbers == chosen.numbers
    without = choose_stimuli(two_runs, images=8, practice=2, seed=3, exclude=chosen.numbers[:4])
    assert set(without.numbers).isdisjoint(chosen.numbers[:4])
    assert choose_stimuli(two_runs, images=8, practice=2, seed=4).numbers != chosen.numbers


def test_classes_come_in_turn():
    labels = torch.tensor([0] * 50 + [1] * 5 + [2] * 3)
    usable = torch.ones(58, dtype=torch.bool)
    usable[50] = False
    for count, expected in ((3, [1, 1, 1]), (9, [3, 3, 3]), (10, [4, 3, 3]), (12, [5, 4, 3]), (100, [50, 4, 3])):
        found = _stratified(usable, labels, count, seed=1)
        counts = Counter(labels[found].tolist())
        ordered = [counts[0], counts[1], counts[2]]
        assert ordered == expected or (count == 10 and sorted(ordered) == [3, 3, 4])
        assert 50 not in found
        assert len(set(found)) == len(found)


def test_too_few_images_are_counted(two_runs):
    with pytest.raises(BadInput, match="100000 images and 2 for practice are asked for, but only"):
        choose_stimuli(two_runs, images=100_000, practice=2)


def test_runs_that_cannot_be_compared_are_named(two_runs, tmp_path):
    with pytest.raises(BadInput, match="at least two runs; got 1"):
        choose_stimuli(two_runs[:1], images=1)
    shutil.copytree(two_runs[0], tmp_path / "first")
    with pytest.raises(BadInput, match="two runs are called 'first'"):
        choose_stimuli([two_runs[0], tmp_path / "first"], images=1)


def test_a_shared_arm_tells_nobody_apart(two_runs, tmp_path):
    shutil.copytree(two_runs[0], tmp_path / "third")
    found = choose_stimuli([two_runs[0], tmp_path / "third"], images=1)
    assert found.models == {"first": "first", "third": "third"}
