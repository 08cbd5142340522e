"""Closed forms for the single layer F(x) = A(⟨w, x⟩) (definitions §1.5, T3S §3)."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pellucid.attributions import gradient, integrated_gradients
from pellucid.metrics.stability import ros_quantus

ACTIVATIONS = {  # A, A', and the suprema of |A'| and |A''|
    "tanh": (torch.tanh, lambda t: 1 - torch.tanh(t) ** 2, 1.0, 4 / (3 * math.sqrt(3))),
    "sigmoid": (torch.sigmoid, lambda t: torch.sigmoid(t) * torch.sigmoid(-t), 1 / 4, 1 / (6 * math.sqrt(3))),
    "softplus": (torch.nn.functional.softplus, torch.sigmoid, 1.0, 1 / 4),
}
SHAPE = (4, 2, 3, 3)
TARGET = torch.zeros(4, dtype=torch.int64)

layers = pytest.mark.parametrize("name", ACTIVATIONS)
seeds = given(seed=st.integers(0, 10_000))
few = settings(max_examples=20, deadline=None)


def draw(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def layer(activation, w):
    return lambda x: activation(x.flatten(1) @ w.flatten())[:, None]


def length(maps):
    return maps.flatten(1).norm(dim=1)


@layers
@few
@seeds
def test_the_gradient_is_the_weight_times_the_slope(name, seed):
    activation, slope, _, _ = ACTIVATIONS[name]
    w, x = draw(seed, *SHAPE[1:]), draw(seed + 1, *SHAPE)
    t = x.flatten(1) @ w.flatten()
    torch.testing.assert_close(
        gradient(layer(activation, w), x, TARGET), slope(t)[:, None, None, None] * w, rtol=1e-12, atol=1e-14
    )


@layers
@few
@seeds
def test_integrated_gradients_share_out_the_change_of_the_activation(name, seed):
    activation, _, _, _ = ACTIVATIONS[name]
    w, x, u = draw(seed, *SHAPE[1:]) / 4, draw(seed + 1, *SHAPE), draw(seed + 2, *SHAPE)
    on_w = [v.flatten(1) @ w.flatten() for v in (x, u)]
    share = (activation(on_w[0]) - activation(on_w[1])) / (on_w[0] - on_w[1])
    found = integrated_gradients(layer(activation, w), x, TARGET, baseline=u, steps=60)
    torch.testing.assert_close(found, share[:, None, None, None] * (x - u) * w, rtol=1e-9, atol=1e-11)


@layers
def test_integrated_gradients_where_the_way_is_orthogonal_to_the_weight(name):
    """The quotient is 0/0 there; its limit is the slope at the baseline."""
    activation, slope, _, _ = ACTIVATIONS[name]
    w, u, way = draw(1, *SHAPE[1:]), draw(2, *SHAPE), draw(3, *SHAPE)
    way = way - (way.flatten(1) @ w.flatten())[:, None, None, None] * w / w.pow(2).sum()
    expected = slope(u.flatten(1) @ w.flatten())[:, None, None, None] * way * w
    found = integrated_gradients(layer(activation, w), u + way, TARGET, baseline=u, steps=3)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


@layers
@few
@seeds
def test_the_gradient_changes_no_more_than_the_curvature_allows(name, seed):
    """Eq. 12: ‖VG(x') − VG(x)‖ ≤ sup|A''| ‖w‖² ‖x' − x‖."""
    activation, _, _, curvature = ACTIVATIONS[name]
    w, x, step = draw(seed, *SHAPE[1:]), draw(seed + 1, *SHAPE), draw(seed + 2, *SHAPE)
    f = layer(activation, w)
    change = length(gradient(f, x + step, TARGET) - gradient(f, x, TARGET))
    assert (change <= curvature * w.pow(2).sum() * length(step) * (1 + 1e-12)).all()


@layers
def test_the_bound_on_the_gradient_is_attained(name):
    """Along w, at the point of the largest curvature: the constant of eq. 12 cannot be smaller."""
    activation, _, _, curvature = ACTIVATIONS[name]
    at = {"tanh": math.atanh(1 / math.sqrt(3)), "sigmoid": math.log(2 + math.sqrt(3)), "softplus": 0.0}[name]
    w = draw(5, *SHAPE[1:])
    x, step = (at * w / w.pow(2).sum()).expand(SHAPE), (1e-4 * w).expand(SHAPE)
    f = layer(activation, w)
    change = length(gradient(f, x + step, TARGET) - gradient(f, x, TARGET))
    torch.testing.assert_close(change, curvature * w.pow(2).sum() * length(step), rtol=1e-3, atol=0)


@layers
@few
@seeds
def test_integrated_gradients_change_no_more_than_slope_and_curvature_allow(name, seed):
    """Eq. 31/32 with the constant ½ = ∫₀¹ t dt."""
    activation, _, steepest, curvature = ACTIVATIONS[name]
    w, x, u, step = (draw(seed + i, *SHAPE) for i in range(4))
    w = w[0] / 4
    f = layer(activation, w)
    start, moved = (integrated_gradients(f, at, TARGET, baseline=u, steps=40) for at in (x, x + step))
    size = w.norm()
    bound = length(step) * size * steepest + length(x - u) * size**2 * curvature / 2 * length(step)
    assert (length(moved - start) <= bound).all()


@layers
def test_the_numerator_of_ros_grows_with_the_root_of_the_number_of_pixels(name):
    """It is √d |1 − A'(t')/A'(t)|, whatever w: a property of the metric, not of the explanation."""
    activation, slope, _, _ = ACTIVATIONS[name]
    w, x, noise = draw(6, *SHAPE[1:]), draw(7, *SHAPE) / 4, draw(8, 4, 1, *SHAPE[1:]) / 10
    f = layer(activation, w)
    e, e_noisy = gradient(f, x, TARGET), gradient(f, x + noise[:, 0], TARGET)[:, None]
    z, z_noisy = f(x), f(x + noise[:, 0])[:, None]
    found = ros_quantus(e, e_noisy, z, z_noisy, torch.ones(4, 1, dtype=torch.bool)).numerator
    t, t_noisy = ((x + d).flatten(1) @ w.flatten() for d in (0, noise[:, 0]))
    torch.testing.assert_close(found, math.sqrt(w.numel()) * (1 - slope(t_noisy) / slope(t)).abs())
