import pytest
import torch

from pellucid.attributions import random_map
from pellucid.attributions.reduction import reduction_of
from pellucid.errors import BadInput


def no_model(x):
    raise AssertionError("the model was asked")


@pytest.fixture
def noise(x):
    return torch.randn(len(x), 2, *x.shape[1:], generator=torch.Generator().manual_seed(4))


def test_it_is_the_first_draw_whatever_the_model_the_pixels_and_the_class(x, target, noise):
    found = random_map(no_model, x, target, noise=noise)
    assert torch.equal(found, noise[:, 0].double())
    assert torch.equal(random_map(no_model, 1 - x, target.flip(0), noise=noise), found)
    assert torch.equal(random_map(no_model, x, target, noise=noise[:, :1]), found)
    assert reduction_of(random_map) == "absolute"


def test_nothing_can_be_trained_on_it(x, target, noise):
    found = random_map(no_model, x.requires_grad_(), target, noise=noise.requires_grad_(), create_graph=True)
    assert not found.requires_grad


@pytest.mark.parametrize("shape", [(6, 3, 8, 8), (5, 2, 3, 8, 8), (6, 0, 3, 8, 8), (6, 2, 1, 8, 8)])
def test_refuses_noise_of_another_shape(shape, x, target):
    with pytest.raises(BadInput, match=r"\[6, S, 3, 8, 8\] with S ≥ 1"):
        random_map(no_model, x, target, noise=torch.zeros(shape))
