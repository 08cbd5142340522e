"""Attention maps on their way from the data set through augmentation into the objective."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import small_run
import torch
from stripes import stripes

from pellucid.errors import BadInput
from pellucid.objectives import gaze, natural
from pellucid.training.augment import augment
from pellucid.training.checkpoint import load
from pellucid.training.estimate import estimate
from pellucid.training.fit import CHECKPOINT, fit
from pellucid.training.regularisation import Regularised
from pellucid.training.settings import TrainingSettings
from pellucid.training.step import Batches, takes_attention

SETTINGS = small_run.SETTINGS | {"robust_validation": None, "choose": "clean", "epochs": 1}
AUGMENTED = TrainingSettings(batch_size=16, augmentation={"crop": 2, "flip": True})


def attended(count, seed):
    """Stripes; the map of an image is its mirror in brightness, so that the two can be told apart and compared."""
    data = stripes(count, seed)
    return replace(data, attention=255 - data.images)


def test_maps_move_with_their_images():
    """Inside the window a map is one minus its image; outside both are the zeros of the padding."""
    batches = Batches(attended(64, 0), AUGMENTED, seed=5, attention=True)
    seen = []
    for step in range(8):
        x, y, maps = batches(step, 0, 1)
        total = x + maps
        assert ((total - 1).abs() < 1e-6).logical_or(total == 0).all()
        assert (total == 0).any(), "some crop reaches into the padding"
        assert maps.shape == x.shape
        assert len(y) == 16
        seen.append(maps)
    assert len({maps.double().sum().item() for maps in seen}) == 8


@pytest.mark.parametrize("world", [1, 2])
def test_images_are_bitwise_those_without_maps(world):
    """And those without maps are the ones that augmentation alone makes of the data set."""
    with_maps, plain = attended(64, 0), stripes(64, 0)
    for step in range(6):
        for rank in range(world):
            a = Batches(with_maps, AUGMENTED, seed=5, attention=True)(step, rank, world)
            b, c = (Batches(data, AUGMENTED, seed=5)(step, rank, world) for data in (with_maps, plain))
            assert torch.equal(a.x, b.x)
            assert torch.equal(b.x, c.x)
            assert torch.equal(a.y, c.y)
            assert a.x.is_contiguous()
            assert b.attention is None


def test_without_augmentation_the_maps_are_those_of_the_set():
    data = attended(64, 0)
    x, _, maps = Batches(data, TrainingSettings(batch_size=64), seed=1, attention=True)(0, 0, 1)
    torch.testing.assert_close(maps, 1 - x)


def test_augmenting_more_channels_takes_no_more_draws():
    x = torch.rand(9, 3, 6, 6)
    wide, narrow = (torch.Generator().manual_seed(1) for _ in range(2))
    both, alone = augment(x, wide, crop=2, flip=True), augment(x[:, :2], narrow, crop=2, flip=True)
    assert torch.equal(both[:, :2], alone)
    assert torch.equal(wide.get_state(), narrow.get_state())


def spy(model, x, y, *, generator, attention):
    assert attention.shape == (len(x), 1, 8, 8)
    assert attention.dtype == x.dtype
    spy.seen.append((x.clone(), attention.clone()))
    return natural(model, x, y)


def optional(model, x, y, *, generator, attention=None):
    optional.seen.append(attention)
    return natural(model, x, y)


def run(objective, directory, train, **changes):
    model = small_run.small_model()
    settings = TrainingSettings(**(SETTINGS | changes))
    fit(model, objective, train, stripes(60, 1), settings=settings, seed=3, directory=directory)
    return {n: t for n, t in load(directory / CHECKPOINT)[0].items() if n.startswith("model.")}


def test_an_objective_gets_the_maps_of_its_images(tmp_path):
    spy.seen = []
    run(spy, tmp_path, attended(64, 0), augmentation={"crop": 0, "flip": True})
    assert len(spy.seen) == 4
    for x, maps in spy.seen:
        torch.testing.assert_close(maps, 1 - x)


@pytest.mark.parametrize("wrap", [lambda f: f, Regularised], ids=["plain", "in regularisers"])
def test_an_objective_without_the_parameter_never_sees_them(tmp_path, wrap):
    """Its weights are bitwise those of a run on the same images without maps."""
    found = run(wrap(natural), tmp_path / "with", attended(64, 0))
    expected = run(wrap(natural), tmp_path / "without", stripes(64, 0))
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_an_optional_parameter_is_filled_where_it_can_be(tmp_path):
    optional.seen = []
    run(optional, tmp_path / "with", attended(64, 0), max_steps=1)
    run(optional, tmp_path / "without", stripes(64, 0), max_steps=1)
    assert optional.seen[0].shape == (16, 1, 8, 8)
    assert optional.seen[1] is None


def test_gaze_trains_through_regularisers_and_in_an_estimate(tmp_path):
    objective = partial(gaze, eps=0.1)
    plain = run(objective, tmp_path / "a", attended(64, 0))
    wrapped = run(Regularised(objective), tmp_path / "b", attended(64, 0))
    assert all(torch.equal(plain[name], wrapped[name]) for name in plain)
    settings = TrainingSettings(**SETTINGS)
    model = small_run.small_model()
    found = estimate(model, Regularised(objective), attended(64, 0), stripes(60, 1), settings=settings, seed=0)
    assert found.passes_per_image == 2


@pytest.mark.parametrize("wrap", [lambda f: f, Regularised], ids=["plain", "in regularisers"])
def test_maps_that_are_missing_are_missed_before_training(tmp_path, wrap):
    objective, settings = wrap(partial(gaze, eps=0.1)), TrainingSettings(**SETTINGS)
    message = "objective 'gaze' needs attention maps; data set 'stripes' has none: use cub-gha"
    with pytest.raises(BadInput, match=message):
        run(objective, tmp_path, stripes(64, 0))
    assert list(Path(tmp_path).iterdir()) == []
    with pytest.raises(BadInput, match=message):
        estimate(small_run.small_model(), objective, stripes(64, 0), stripes(60, 1), settings=settings, seed=0)


def test_who_takes_attention():
    with_maps, without = attended(8, 0), stripes(8, 0)
    assert takes_attention(partial(gaze, eps=0.1), with_maps)
    assert takes_attention(Regularised(partial(gaze, eps=0.1)), with_maps)
    assert takes_attention(optional, with_maps)
    for objective, data in (
        (natural, with_maps),
        (natural, without),
        (optional, without),
        (Regularised(natural), with_maps),
    ):
        assert not takes_attention(objective, data)
