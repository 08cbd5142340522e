import copy

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from pellucid import models
from pellucid.attacks import ball, pgd
from pellucid.gradients import input_gradient, logit_of
from pellucid.memory_format import fast_memory_format
from pellucid.models.normalised import normalised
from pellucid.models.smoothing import insert_smoothing

SHALLOW = [("lenet", 1, 28), ("small_cnn", 1, 28), ("small_cnn", 3, 32)]


def network(name, channels, size):
    torch.manual_seed(0)
    built = getattr(models, name)(channels=channels, classes=10, image_size=size)
    return normalised(built, (0.3,) * channels, (0.3,) * channels).eval()


def images(channels, size):
    return torch.rand(6, channels, size, size, generator=torch.Generator().manual_seed(1))


def layouts(model):
    return [weight.stride() for weight in model.parameters()]


def is_channels_last(model):
    """Whether all kernels are; those of one pixel or one channel look the same in both orders but for their strides."""
    kernels = [module.weight for module in model.modules() if isinstance(module, nn.Conv2d)]
    return [kernel.stride() == kernel.to(memory_format=torch.channels_last).stride() for kernel in kernels]


@pytest.mark.parametrize(("name", "channels", "size"), SHALLOW)
def test_shallow_networks_are_channels_last_inside_only(name, channels, size):
    model, before = network(name, channels, size), {}
    before = layouts(model)
    with fast_memory_format(model, images(channels, size)):
        assert all(is_channels_last(model))
        maps = model.network.conv1(images(channels, size))
        assert maps.stride(1) == 1
    assert layouts(model) == before


@pytest.mark.parametrize(("size", "fast"), [(32, False), (64, True)])
def test_deep_networks_are_so_for_large_images_alone(size, fast):
    model = network("resnet18", 3, size)
    with fast_memory_format(model, images(3, size)):
        assert all(is_channels_last(model)) == fast


@pytest.mark.parametrize("filter_name", ["gaussian", "mean", "median", "identity", "learned"])
def test_gradients_and_logits_are_the_same_in_both_orders(filter_name):
    x, y = images(1, 28).double(), torch.arange(6)
    model = insert_smoothing(network("lenet", 1, 28).double(), "pool1", filter_name, example=x)
    usual = input_gradient(model, x, logit_of(y))
    with fast_memory_format(model, x):
        fast = input_gradient(model, x, logit_of(y))
    for a, b in zip(usual, fast, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_what_is_trained_inside_is_kept():
    x, y = images(1, 28).double(), torch.arange(6)
    trained = []
    for fast in (True, False):
        model = network("lenet", 1, 28).double()
        before = layouts(model)
        optimizer = torch.optim.Adam(model.parameters())
        with fast_memory_format(model if fast else None, x):
            for _ in range(3):
                optimizer.zero_grad()
                cross_entropy(model(x), y).backward()
                optimizer.step()
        assert layouts(model) == before
        trained.append(model.state_dict())
    for name, weight in trained[0].items():
        torch.testing.assert_close(weight, trained[1][name], rtol=1e-9, atol=1e-9)


def test_an_error_inside_leaves_the_former_order():
    model = network("lenet", 1, 28)
    before = layouts(model)
    with pytest.raises(ZeroDivisionError), fast_memory_format(model, images(1, 28)):
        raise ZeroDivisionError
    assert layouts(model) == before


def test_nested_blocks_end_with_the_outer_one():
    model = network("lenet", 1, 28)
    with fast_memory_format(model, images(1, 28)):
        with fast_memory_format(model, images(1, 28)):
            pass
        assert all(is_channels_last(model))
    assert not any(is_channels_last(model))


def test_a_users_layout_is_left_alone():
    model = network("small_cnn", 3, 32).to(memory_format=torch.channels_last)
    before = layouts(model)
    with fast_memory_format(model, images(3, 32)):
        assert layouts(model) == before
    assert layouts(model) == before


class Flat(nn.Module):
    """A forward that cannot read channels-last maps."""

    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 4, 3), nn.Linear(4 * 26 * 26, 10)

    def forward(self, x):
        return self.head(self.conv(x).view(len(x), -1))


def test_an_unknown_forward_keeps_its_order():
    model, x = Flat(), images(1, 28)
    attacked = pgd(model, x, torch.arange(6), ball("linf", 0.1), step_size=0.1, steps=2)
    assert (attacked - x).abs().amax() <= 0.1 + 1e-6
    with pytest.raises(RuntimeError, match="view"):
        copy.deepcopy(model).to(memory_format=torch.channels_last)(x)


def test_shared_weights_stay_shared():
    conv = nn.Conv2d(2, 2, 3, padding=1)
    model = nn.Sequential(conv, nn.ReLU(), nn.Conv2d(2, 2, 3, padding=1))
    model[2].weight = conv.weight
    with fast_memory_format(model, torch.rand(1, 2, 8, 8)):
        assert model[0].weight is model[2].weight
    assert not any(is_channels_last(model))


def test_weights_that_are_not_made_yet_are_left_alone():
    model = nn.Sequential(nn.LazyConv2d(4, 3), nn.Flatten(), nn.LazyLinear(10))
    with fast_memory_format(model, images(1, 28)):
        assert model(images(1, 28)).shape == (6, 10)
