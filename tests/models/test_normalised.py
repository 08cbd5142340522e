"""Normalisation as the first layer, and initial weights as a function of a seed."""

from functools import partial

import pytest
import torch
from torch import nn

from pellucid.errors import BadInput
from pellucid.models import lenet, wide_resnet
from pellucid.models.initialisation import initialised
from pellucid.models.normalised import Normalise, normalised

BUILDER = partial(lenet, channels=1, classes=10, image_size=28)


def test_normalises_each_channel():
    layer = Normalise([0.1, 0.2, 0.3], (0.5, 2.0, 0.25))
    x = torch.rand(2, 3, 4, 5)
    expected = torch.stack([(x[:, 0] - 0.1) / 0.5, (x[:, 1] - 0.2) / 2, (x[:, 2] - 0.3) / 0.25], 1)
    torch.testing.assert_close(layer(x), expected)


def test_is_the_first_of_two_named_layers_and_part_of_the_state():
    network = nn.Conv2d(3, 2, 1)
    model = normalised(network, (0.4, 0.5, 0.6), (0.2, 0.3, 0.4))
    assert model.network is network
    assert list(dict(model.named_children())) == ["normalise", "network"]
    assert model.state_dict()["normalise.mean"].shape == model.normalise.std.shape == (1, 3, 1, 1)
    x = torch.rand(2, 3, 4, 4)
    assert torch.equal(model(x), network(model.normalise(x)))
    assert not list(model.normalise.parameters())


@pytest.mark.parametrize(
    ("mean", "std", "message"),
    [
        ((0.5,), (0.0,), "positive stds"),
        ((0.5,), (-1.0,), "positive stds"),
        ((float("nan"),), (1.0,), "finite means"),
        ((0.5,), (float("inf"),), "finite means"),
        ((0.5, 0.5), (1.0,), "got 2 and 1"),
        ((), (), "got 0 and 0"),
    ],
)
def test_refuses_impossible_numbers(mean, std, message):
    with pytest.raises(BadInput, match=message):
        normalised(nn.Identity(), mean, std)


def test_refuses_images_of_other_channels_instead_of_broadcasting():
    with pytest.raises(BadInput, match="normalises 3 channels; the images have 1"):
        normalised(nn.Identity(), (0.5,) * 3, (0.2,) * 3)(torch.rand(2, 1, 4, 4))


def test_the_seed_alone_decides_the_weights():
    first = initialised(BUILDER, 3).state_dict()
    torch.manual_seed(99)
    torch.rand(7)
    with torch.device("meta"):  # whatever the default device is
        second = initialised(BUILDER, 3).state_dict()
    other = initialised(BUILDER, 4).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not any(torch.equal(first[key], other[key]) for key in first)


def test_the_global_random_state_stays():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    initialised(partial(wide_resnet, channels=3, classes=10, image_size=32, depth=10, width=1), 1)
    assert torch.equal(torch.get_rng_state(), before)

    def failing():
        torch.rand(3)
        raise RuntimeError("no network")

    with pytest.raises(RuntimeError, match="no network"):
        initialised(failing, 1)
    assert torch.equal(torch.get_rng_state(), before)
