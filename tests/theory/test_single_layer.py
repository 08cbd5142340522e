"""The closed forms of one layer against autograd, its bounds against what attributions do (definitions §1.5)."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pellucid.attributions import gradient, integrated_gradients
from pellucid.metrics.stability import ros_quantus
from pellucid.theory.single_layer import (
    ACTIVATIONS,
    SOFTPLUS,
    TANH,
    Activation,
    gradient_change_bound,
    integrated_gradients_change_bound,
    layer_gradient,
    layer_integrated_gradients,
    ros_numerator,
    single_layer,
)

SHAPE = (4, 2, 3, 3)
TARGET = torch.zeros(4, dtype=torch.int64)
BENDS = {  # where |A''| is largest
    "gelu": 0.0,
    "sigmoid": math.log(2 + math.sqrt(3)),
    "sine": math.pi / 2,
    "softplus": 0.0,
    "tanh": math.atanh(1 / math.sqrt(3)),
}
few = settings(max_examples=25, deadline=None)
numbers = st.floats(-3, 3)
seeds = st.integers(0, 10_000)


def mixture(terms):
    """Σ a·tanh(s·t + c), a random smooth activation; its bounds are sums of those of its terms."""
    a, s, c = torch.tensor(terms, dtype=torch.float64).T

    def total(function, power):
        return lambda t: (a * s**power * function(s * t[:, None] + c)).sum(1)

    slopes, curvatures = (a * s).abs().sum(), (a * s.square()).abs().sum()
    return Activation(
        total(TANH.value, 0),
        total(TANH.slope, 1),
        total(TANH.curvature, 2),
        float(slopes),
        float(curvatures) * TANH.largest_curvature,
    )


activations = st.one_of(
    st.sampled_from(list(ACTIVATIONS.values())),
    st.lists(st.tuples(numbers, numbers, numbers), min_size=1, max_size=5).map(mixture),
)


def draw(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def length(maps):
    return maps.flatten(1).norm(dim=1)


def orthogonal(way, w):
    return way - (way.flatten(1) @ w.flatten())[:, None, None, None] * w / w.pow(2).sum()


@few
@given(activation=activations, seed=seeds)
def test_slope_and_curvature_are_the_derivatives_of_the_value(activation, seed):
    t = 3 * draw(seed, 50)
    t.requires_grad_(True)
    (slope,) = torch.autograd.grad(activation.value(t).sum(), t, create_graph=True)
    (curvature,) = torch.autograd.grad(activation.slope(t).sum(), t)
    torch.testing.assert_close(activation.slope(t), slope, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(activation.curvature(t), curvature, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_suprema_are_suprema(name):
    activation, t = ACTIVATIONS[name], torch.linspace(-20, 20, 400_001, dtype=torch.float64)
    assert activation.slope(t).abs().max() == pytest.approx(activation.largest_slope, rel=1e-8)
    assert activation.curvature(t).abs().max() == pytest.approx(activation.largest_curvature, rel=1e-8)
    at = torch.tensor([BENDS[name]], dtype=torch.float64)
    assert activation.curvature(at).abs().item() == pytest.approx(activation.largest_curvature, rel=1e-12)


def test_a_saturated_tanh_keeps_its_digits():
    """1 - tanh² is 0 from t = 19 on, in float64."""
    t = torch.tensor([25.0], dtype=torch.float64)
    assert TANH.slope(t).item() == pytest.approx(4 * math.exp(-50), rel=1e-12, abs=0)
    assert TANH.curvature(t).item() == pytest.approx(-8 * math.exp(-50), rel=1e-12, abs=0)


@few
@given(activation=activations, seed=seeds)
def test_the_gradient_is_the_weight_times_the_slope(activation, seed):
    w, x = draw(seed, *SHAPE[1:]), draw(seed + 1, *SHAPE)
    found = gradient(single_layer(activation, w), x, TARGET)
    torch.testing.assert_close(layer_gradient(activation, w, x), found, rtol=1e-9, atol=1e-12)


@few
@given(activation=activations, seed=seeds)
def test_integrated_gradients_share_out_the_change_of_the_activation(activation, seed):
    w, x, u = draw(seed, *SHAPE[1:]) / 4, draw(seed + 1, *SHAPE), draw(seed + 2, *SHAPE)
    expected = integrated_gradients(single_layer(activation, w), x, TARGET, baseline=u, steps=200)
    found = layer_integrated_gradients(activation, w, x, u)
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-9)
    f = single_layer(activation, w)
    torch.testing.assert_close(found.flatten(1).sum(1), (f(x) - f(u)).squeeze(1), rtol=1e-9, atol=1e-11)  # complete


@few
@given(activation=activations, seed=seeds)
def test_integrated_gradients_where_the_way_is_orthogonal_to_the_weight(activation, seed):
    """The quotient is 0/0 there; its limit is the slope at the baseline."""
    w, u, way = draw(seed, *SHAPE[1:]), draw(seed + 1, *SHAPE), draw(seed + 2, *SHAPE)
    way = orthogonal(way, w)
    expected = activation.slope(u.flatten(1) @ w.flatten())[:, None, None, None] * way * w
    torch.testing.assert_close(layer_integrated_gradients(activation, w, u + way, u), expected, rtol=1e-9, atol=1e-11)
    assert not layer_integrated_gradients(activation, w, u, u).any()


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("exponent", range(-16, 1))
def test_integrated_gradients_are_accurate_however_small_the_way_along_the_weight(name, exponent):
    activation, w, u = ACTIVATIONS[name], draw(1, *SHAPE[1:]), draw(2, *SHAPE)
    w = w / w.norm()
    x = u + orthogonal(draw(3, *SHAPE), w) + 10.0**exponent * w
    expected = integrated_gradients(single_layer(activation, w), x, TARGET, baseline=u, steps=40)
    torch.testing.assert_close(layer_integrated_gradients(activation, w, x, u), expected, rtol=1e-9, atol=1e-9)


@few
@given(activation=activations, seed=seeds, size=st.sampled_from([1e-3, 1.0, 10.0]))
def test_the_gradient_changes_no_more_than_the_curvature_allows(activation, seed, size):
    w, x, step = draw(seed, *SHAPE[1:]), draw(seed + 1, *SHAPE), size * draw(seed + 2, *SHAPE)
    change = length(layer_gradient(activation, w, x + step) - layer_gradient(activation, w, x))
    assert (change <= gradient_change_bound(activation, w, step) * (1 + 1e-9) + 1e-13).all()


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_bound_on_the_gradient_is_attained(name):
    """Along w, at the point of the largest curvature: the constant of eq. 12 cannot be smaller."""
    activation, w = ACTIVATIONS[name], draw(5, *SHAPE[1:])
    x, step = (BENDS[name] * w / w.pow(2).sum()).expand(SHAPE), (1e-4 * w).expand(SHAPE)
    change = length(layer_gradient(activation, w, x + step) - layer_gradient(activation, w, x))
    torch.testing.assert_close(change, gradient_change_bound(activation, w, step), rtol=1e-3, atol=0)


@few
@given(activation=activations, seed=seeds, size=st.sampled_from([1e-3, 1.0, 10.0]))
def test_integrated_gradients_change_no_more_than_slope_and_curvature_allow(activation, seed, size):
    w, x, u = draw(seed, *SHAPE[1:]) / 4, draw(seed + 1, *SHAPE), draw(seed + 2, *SHAPE)
    step = size * draw(seed + 3, *SHAPE)
    start, moved = (layer_integrated_gradients(activation, w, at, u) for at in (x, x + step))
    bound = integrated_gradients_change_bound(activation, w, x, u, step)
    assert (length(moved - start) <= bound * (1 + 1e-9) + 1e-12).all()


def test_both_terms_of_the_bound_on_integrated_gradients_are_attained():
    """The first at x = u, where all change is that of x - u; the second, with its ½, for a far baseline."""
    w, u = torch.zeros(1, 1, 2, dtype=torch.float64), torch.zeros(1, 1, 1, 2, dtype=torch.float64)
    w[..., 0] = 0.7
    step = 1e-5 * w[None]
    change = length(layer_integrated_gradients(TANH, w, u + step, u))
    torch.testing.assert_close(change, integrated_gradients_change_bound(TANH, w, u, u, step), rtol=1e-6, atol=0)
    # ⟨w, x - u⟩ = 0 with a long x - u, at the bend of softplus.
    w = torch.full((1, 1, 2), 0.7, dtype=torch.float64)
    x = torch.tensor([1e4, -1e4], dtype=torch.float64).view(1, 1, 1, 2)
    step = 1e-6 * w[None]
    start, moved = (layer_integrated_gradients(SOFTPLUS, w, at, u) for at in (x, x + step))
    bound = integrated_gradients_change_bound(SOFTPLUS, w, x, u, step)
    # ‖(x - u) ⊙ w‖ is ‖x - u‖·‖w‖/√2 for two equal weights, where the bound has ‖x - u‖·‖w‖.
    torch.testing.assert_close(length(moved - start) * math.sqrt(2), bound, rtol=1e-3, atol=0)


@few
@given(seed=seeds, factor=st.sampled_from([0.5, 2.0, 4.0]))
def test_the_bounds_scale_as_they_should(seed, factor):
    w, x, u, step = draw(seed, *SHAPE[1:]), *(draw(seed + i, *SHAPE) for i in (1, 2, 3))
    bound = gradient_change_bound(TANH, w, step)
    torch.testing.assert_close(gradient_change_bound(TANH, factor * w, step), factor**2 * bound)
    torch.testing.assert_close(gradient_change_bound(TANH, w, factor * step), factor * bound)
    whole = integrated_gradients_change_bound(TANH, w, x, u, step)
    torch.testing.assert_close(integrated_gradients_change_bound(TANH, w, x, u, factor * step), factor * whole)
    near = integrated_gradients_change_bound(TANH, w, u, u, step)
    torch.testing.assert_close(
        integrated_gradients_change_bound(TANH, w, u + factor * (x - u), u, step) - near, factor * (whole - near)
    )


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_numerator_of_ros_grows_with_the_root_of_the_number_of_pixels(name):
    """It is √d |1 − A'(t')/A'(t)|, whatever w: a property of the metric, not of the explanation."""
    activation = ACTIVATIONS[name]
    w, x, noise = draw(6, *SHAPE[1:]), draw(7, *SHAPE) / 4, draw(8, *SHAPE) / 10
    f = single_layer(activation, w)
    e, e_noisy = gradient(f, x, TARGET), gradient(f, x + noise, TARGET)[:, None]
    z, z_noisy = f(x), f(x + noise)[:, None]
    found = ros_quantus(e, e_noisy, z, z_noisy, torch.ones(4, 1, dtype=torch.bool)).numerator
    torch.testing.assert_close(found, ros_numerator(activation, w, x, x + noise))
    nowhere = Activation(torch.zeros_like, torch.zeros_like, torch.zeros_like, 0.0, 0.0)
    assert ros_numerator(nowhere, w, x, x + noise).isnan().all()
    # Four times as many pixels, each a quarter of the weight: the same t, twice the numerator.
    larger, tiled = w.repeat(4, 1, 1) / 4, [v.repeat(1, 4, 1, 1) for v in (x, x + noise)]
    torch.testing.assert_close(ros_numerator(activation, larger, *tiled), 2 * found)
