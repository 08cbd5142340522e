"""Occlusion, LIME, KernelSHAP and Grad-CAM: on models whose right answer is known."""

import pytest
import torch
from torch import nn

from pellucid.attributions import grad_cam, kernel_shap, lime, occlusion
from pellucid.attributions.blocks import block_numbers
from pellucid.errors import BadInput

GENERATOR = torch.Generator().manual_seed(0)


class Linear(nn.Module):
    """z_k = Σ w_k·x: every block's share of the logit is known."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 1, 8, 8, generator=GENERATOR, dtype=torch.float64))

    def forward(self, x):
        return (self.weight[None] * x[:, None]).flatten(2).sum(2)


@pytest.fixture
def model():
    return Linear()


@pytest.fixture
def x():
    return torch.rand(2, 1, 8, 8, generator=GENERATOR, dtype=torch.float64) + 0.1


TARGET = torch.tensor([2, 0])


def contributions(model, x):
    return model.weight[TARGET] * x


def block_sums(values, block):
    numbers = block_numbers(*values.shape[2:], block)[0, 0]
    sums = torch.zeros(len(values), int(numbers.max()) + 1, dtype=values.dtype)
    return sums.index_add(1, numbers.flatten(), values.flatten(1))[:, numbers][:, None]


def test_blocks_are_counted_row_by_row_and_cut_at_the_far_edges():
    assert block_numbers(3, 5, 2)[0, 0].tolist() == [[0, 0, 1, 1, 2], [0, 0, 1, 1, 2], [3, 3, 4, 4, 5]]


def test_occlusion_of_a_linear_model_is_the_share_of_the_square(model, x):
    found = occlusion(model, x, TARGET, window=2, stride=2)
    torch.testing.assert_close(found, block_sums(contributions(model, x), 2))


def test_kernel_shap_of_a_linear_model_is_the_share_of_the_block(model, x):
    found = kernel_shap(model, x, TARGET, block=4, samples=60)
    torch.testing.assert_close(found, block_sums(contributions(model, x), 4), rtol=1e-4, atol=1e-4)


def test_lime_shrinks_the_shares_of_the_blocks(model, x):
    found = lime(model, x, TARGET, block=4, samples=300)
    expected = block_sums(contributions(model, x), 4)
    large = expected.abs() > 0.5
    assert torch.equal(found.sign()[large], expected.sign()[large])
    assert (found[large].abs() <= 1.05 * expected[large].abs()).all()
    assert torch.corrcoef(torch.stack([found.flatten(), expected.flatten()]))[0, 1] > 0.95


@pytest.mark.parametrize("method", [lime, kernel_shap])
def test_draws_depend_on_the_seed_alone(method, model, x):
    options = {"block": 4, "samples": 5}
    assert torch.equal(method(model, x, TARGET, seed=1, **options), method(model, x, TARGET, seed=1, **options))
    assert not torch.equal(method(model, x, TARGET, seed=1, **options), method(model, x, TARGET, seed=2, **options))


def network():
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 4, 3, padding=1), nn.Softplus(), nn.AvgPool2d(2), nn.Conv2d(4, 5, 3, padding=1), nn.Flatten()
    return nn.Sequential(*layers, nn.Linear(5 * 16, 3)).double().eval()


def test_grad_cam_weights_the_maps_of_the_last_convolution_by_their_mean_gradient():
    model, x = network(), torch.rand(2, 3, 8, 8, generator=GENERATOR, dtype=torch.float64)
    maps = model[:4](x).detach().requires_grad_()
    model[4:](maps).gather(1, TARGET[:, None]).sum().backward()
    small = (maps.grad.mean((2, 3), keepdim=True) * maps).sum(1, keepdim=True).relu().detach()
    expected = nn.functional.interpolate(small, size=(8, 8), mode="bilinear")
    found = grad_cam(model, x, TARGET)
    torch.testing.assert_close(found.sum(1, keepdim=True), expected)
    assert torch.equal(found[:, :1], found[:, 2:])
    assert found.shape == x.shape
    assert not torch.equal(found, grad_cam(model, x, TARGET, layer="0"))


def test_a_model_without_convolutions_needs_a_layer(model, x):
    with pytest.raises(BadInput, match="Linear has no convolution; name the layer"):
        grad_cam(model, x, TARGET)
