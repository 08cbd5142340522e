import math

import pytest
import torch
from scipy.spatial.distance import cosine as cosine_distance
from torch import nn

from pellucid.metrics.stability import outlier_dependence


def linear(weights):
    """Logits W·x for images [B, 1, 1, D]."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(weights.shape[1], len(weights), bias=False)).double()
    network[1].weight.data = weights.double()
    return network


@pytest.fixture
def x():
    return torch.rand(5, 1, 1, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def matrices(seed, classes=3):
    return torch.randn(2, classes, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("seed", range(4))
def test_equals_scipy_on_linear_models(x, seed):
    one, two = matrices(seed)
    found = outlier_dependence(linear(one), linear(two), x)
    for image, value in zip(x.flatten(1), found, strict=True):
        predicted = int((two @ image).argmax())
        g, h = (w[predicted] - w.mean(0) for w in (one, two))
        assert value.item() == pytest.approx(cosine_distance(g.numpy(), h.numpy()) / 2, abs=1e-12)


@pytest.mark.parametrize(("angle", "expected"), [(0, 0), (60, 0.25), (90, 0.5), (180, 1)])
def test_is_a_function_of_the_angle(angle, expected):
    turned = torch.tensor([math.cos(math.radians(angle)), math.sin(math.radians(angle))], dtype=torch.float64)
    one, two = torch.stack([turned, -turned]), torch.tensor([[1.0, 0], [-1, 0]])
    found = outlier_dependence(linear(one), linear(two), torch.full((3, 1, 1, 2), 0.3, dtype=torch.float64))
    assert found.tolist() == pytest.approx([expected] * 3, abs=1e-12)


def test_the_gauge_and_the_scale_of_the_logits_do_not_matter(x):
    one, two = matrices(1)
    shifted = linear(7 * one + torch.randn(6, generator=torch.Generator().manual_seed(9)))
    expected = outlier_dependence(linear(one), linear(two), x)
    torch.testing.assert_close(outlier_dependence(shifted, linear(0.1 * two), x), expected, rtol=1e-9, atol=1e-12)


def test_a_model_does_not_differ_from_itself_and_mates_do_not_matter(tiny_net, tiny_batch):
    x, _ = tiny_batch
    assert outlier_dependence(tiny_net, tiny_net, x).tolist() == pytest.approx([0] * 8, abs=1e-12)
    other = linear_on(x)
    whole = outlier_dependence(tiny_net, other, x)
    assert whole.dtype == torch.float64
    assert ((whole > 0) & (whole < 1)).all()
    for i in range(8):
        torch.testing.assert_close(outlier_dependence(tiny_net, other, x[i : i + 1])[0], whole[i], rtol=1e-10, atol=0)


def linear_on(x):
    return linear(torch.randn(3, x[0].numel(), generator=torch.Generator().manual_seed(2)))


def test_a_vanishing_gradient_has_no_direction(x):
    one, two = matrices(2)
    for scale, defined in ((1e-7, True), (1e-12, False), (0.0, False)):
        assert outlier_dependence(linear(scale * one), linear(two), x).isnan().logical_not().tolist() == [defined] * 5
        assert outlier_dependence(linear(one), linear(scale * two), x).isnan().logical_not().tolist() == [defined] * 5


def test_one_undefined_image_stays_alone(x):
    one, two = matrices(3)
    x[1] = torch.nan
    relu = nn.Sequential(linear(two), nn.Softplus())  # its slope, unlike that of a linear model, feels the NaN
    assert outlier_dependence(linear(one), relu, x).isnan().tolist() == [False, True, False, False, False]
