"""Curvature of gradient fields: closed forms, the order of the differences, and what must not change it."""

import math
from dataclasses import astuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pellucid.errors import BadInput
from pellucid.gradients import hessian_vector_products, input_gradient, logit_of
from pellucid.regularisers.misalignment import angular
from pellucid.theory.curvature import curvature_of_differences, curvature_of_hessian, unit_directions
from pellucid.theory.single_layer import TANH, single_layer

SHAPE = (1, 2, 3)
D = 6
TARGET = torch.zeros(4, dtype=torch.int64)
LOGIT = logit_of(TARGET)
IDS = [3, 14, 15, 92]


def draw(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def quadratic(matrix, offset):
    """½·xᵀMx + ⟨b, x⟩, whose gradient is Mx + b and whose Hessian is M."""
    return lambda x: ((x.flatten(1) @ matrix) * x.flatten(1)).sum(1, keepdim=True) / 2 + x.flatten(1) @ offset[:, None]


@pytest.fixture
def bowl():
    root = draw(0, D, D)
    return root + root.T, draw(1, D)


@pytest.fixture
def images():
    return draw(2, 4, *SHAPE)


def directions(draws=5, ids=IDS, seed=0, shape=SHAPE):
    return unit_directions(ids, shape, draws=draws, seed=seed)


def smooth_net(seed=0, size=D, classes=2):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = [nn.Flatten(), nn.Linear(size, 8), nn.Tanh(), nn.Linear(8, 8), nn.Softplus(), nn.Linear(8, classes)]
        return nn.Sequential(*layers).double()


def relu_net(size=D):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(size, 64), nn.ReLU(), nn.Linear(64, 2)).double()


def both(model, x, v, **options):
    return curvature_of_differences(model, x, LOGIT, v, **options), curvature_of_hessian(model, x, LOGIT, v)


def test_a_quadratic_has_the_curvature_of_its_matrix(bowl, images):
    """All three numbers from M alone, by both ways and at any step: differences are exact here."""
    matrix, offset = bowl
    v, g = directions(), images.flatten(1) @ matrix + offset
    changes = v.flatten(2) @ matrix
    unit = g / g.norm(dim=1, keepdim=True)
    turned = changes - (changes * unit[:, None]).sum(2, keepdim=True) * unit[:, None]
    absolute, turn = ((c.square().sum(2).mean(1)).sqrt() for c in (changes, turned))
    for found in (*both(quadratic(matrix, offset), images, v), both(quadratic(matrix, offset), images, v, step=3.0)[0]):
        torch.testing.assert_close(found.absolute, absolute)
        torch.testing.assert_close(found.relative, absolute / g.norm(dim=1))
        torch.testing.assert_close(found.direction, turn / g.norm(dim=1))


def test_many_directions_estimate_the_frobenius_norm(bowl, images):
    """Hutchinson: D·E‖Mv‖² = ‖M‖²_F; here within four standard errors of 1000 draws."""
    matrix, offset = bowl
    v = directions(1000)
    squares = D * curvature_of_hessian(quadratic(matrix, offset), images, LOGIT, v).absolute.square()
    spread = (v.flatten(2) @ matrix).square().sum(2).std(1) * D / math.sqrt(1000)
    assert ((squares - matrix.square().sum()).abs() < 4 * spread).all()


def test_one_layer_never_turns(images):
    """All gradients of A(⟨w, x⟩) are along w; what changes is their length, by |A''/A'|·|⟨w, v⟩|."""
    w, v = draw(3, *SHAPE), directions()
    t = images.flatten(1) @ w.flatten()
    along = (v.flatten(2) @ w.flatten()).square().mean(1).sqrt()
    found = curvature_of_hessian(single_layer(TANH, w), images, LOGIT, v)
    torch.testing.assert_close(found.relative, (TANH.curvature(t) / TANH.slope(t)).abs() * along)
    torch.testing.assert_close(found.absolute, TANH.curvature(t).abs() * w.norm() * along)
    assert (found.direction < 1e-12 * found.relative).all()
    seen = curvature_of_differences(single_layer(TANH, w), images, LOGIT, v, step=0.3)
    assert (seen.direction < 1e-12 * seen.relative).all()
    assert (seen.absolute <= TANH.largest_curvature * w.norm().square()).all()  # eq. 12


def test_a_rotating_field_only_turns():
    """The gradient of sin(x₀)·eˣ¹ has length eˣ¹ and turns by one radian a unit along x₀."""

    def model(x):
        return (torch.sin(x[:, 0, 0, 0]) * torch.exp(x[:, 0, 0, 1]))[:, None]

    x = draw(4, 4, 1, 1, 2)
    v = torch.tensor([1.0, 0.0], dtype=torch.float64).view(1, 1, 1, 1, 2).expand(4, 1, 1, 1, 2)
    found = curvature_of_hessian(model, x, LOGIT, v)
    torch.testing.assert_close(found.direction, torch.ones(4, dtype=torch.float64))
    torch.testing.assert_close(found.relative, torch.ones(4, dtype=torch.float64))
    torch.testing.assert_close(found.absolute, x[:, 0, 0, 1].exp())
    h = 0.1 * math.sqrt(2)
    seen = curvature_of_differences(model, x, LOGIT, v, step=0.1)
    torch.testing.assert_close(seen.relative, torch.full((4,), math.sin(h) / h, dtype=torch.float64))


def test_differences_approach_the_hessian_with_the_square_of_the_step(images):
    model, v = smooth_net(), directions()
    exact = torch.stack(astuple(curvature_of_hessian(model, images, LOGIT, v)))
    errors = [
        (torch.stack(astuple(curvature_of_differences(model, images, LOGIT, v, step=step))) - exact).abs().sum(1)
        for step in (0.08, 0.04, 0.02)
    ]
    for coarse, fine in ((0, 1), (1, 2)):
        orders = torch.log2(errors[coarse] / errors[fine])
        torch.testing.assert_close(orders, torch.full_like(orders, 2.0), rtol=0, atol=0.1)


def test_relu_networks_have_no_hessian_but_a_curvature_at_a_scale(images):
    seen, exact = both(relu_net(), images, directions(), step=0.1)
    assert not torch.stack(astuple(exact)).any()
    assert (seen.direction > 0.01).all()
    tiny = curvature_of_differences(relu_net(), images, LOGIT, directions(), step=1e-9)
    assert (tiny.relative < 1e-4).all()  # inside one linear piece


@pytest.mark.parametrize("frozen", [False, True])
def test_a_linear_model_has_no_curvature(images, frozen):
    model = nn.Sequential(nn.Flatten(), nn.Linear(D, 2)).double().requires_grad_(not frozen)
    seen, exact = both(model, images, directions())
    assert not torch.stack(astuple(exact)).any()
    assert (torch.stack(astuple(seen)) < 1e-12).all()


@settings(max_examples=15, deadline=None)
@given(factor=st.sampled_from([1e-30, 1e-6, 2.0, 1e6]))
def test_relative_and_direction_curvature_ignore_the_scale_of_the_logits(factor):
    model, x, v = smooth_net(), draw(2, 4, *SHAPE), directions()
    for before, after in zip(both(model, x, v), both(lambda x: factor * model(x), x, v), strict=True):
        torch.testing.assert_close(after.absolute, factor * before.absolute, rtol=1e-7, atol=0)
        torch.testing.assert_close(after.relative, before.relative, rtol=1e-7, atol=0)
        torch.testing.assert_close(after.direction, before.direction, rtol=1e-7, atol=0)


def test_tiny_single_precision_gradients_do_not_underflow(images):
    model, v = smooth_net().float(), directions()
    x, factor = images.float(), 2.0**-100
    before, after = (curvature_of_hessian(f, x, LOGIT, v) for f in (model, lambda x: factor * model(x)))
    torch.testing.assert_close(after.direction, before.direction, rtol=1e-5, atol=0)


def test_the_curvature_of_an_image_depends_on_no_other(images):
    model = smooth_net()
    for way in (curvature_of_differences, curvature_of_hessian):
        together = way(model, images, LOGIT, directions())
        alone = way(model, images[2:3], logit_of(TARGET[:1]), directions(ids=IDS[2:3]))
        torch.testing.assert_close(together.direction[2:3], alone.direction)
        assert together.direction.dtype == torch.float64
        assert together.direction.shape == (4,)


def test_directions_are_unit_and_belong_to_their_image():
    v = directions()
    assert v.shape == (4, 5, *SHAPE)
    torch.testing.assert_close(v.flatten(2).norm(dim=2), torch.ones(4, 5, dtype=torch.float64))
    assert torch.equal(directions(ids=[92, 3])[0], v[3])
    assert not torch.equal(directions(seed=1), v)
    many = unit_directions(range(2000), SHAPE, draws=1, seed=0).flatten(1)
    torch.testing.assert_close(many.T @ many / 2000 * D, torch.eye(D).double(), rtol=0, atol=0.15)


def test_the_direction_is_at_most_the_whole_and_a_zero_gradient_has_neither(images):
    found = curvature_of_hessian(smooth_net(), images, LOGIT, directions())
    assert (found.direction < found.relative).all()
    matrix = torch.eye(D, dtype=torch.float64)
    at_rest = curvature_of_hessian(
        quadratic(matrix, torch.zeros(D).double()), torch.zeros_like(images), LOGIT, directions()
    )
    torch.testing.assert_close(at_rest.absolute, torch.ones(4, dtype=torch.float64))
    assert at_rest.relative.isnan().all()
    assert at_rest.direction.isnan().all()


def test_small_angular_misalignment_is_the_squared_direction_curvature():
    """Definitions §3: E[MA-1] = (σ²/4)·‖P⊥∇g‖²_F/‖g‖² = σ²·D/4·direction² for σ → 0."""
    network, x, sigma, draws = smooth_net(), draw(2, 4, *SHAPE), 1e-3, 20_000

    def model(x):
        return 1e4 * network(x)  # the τ of MA-1 adds ½·τ/‖g‖², which such a small σ would not outweigh

    field = input_gradient(model, x, LOGIT)[1]
    axes = torch.eye(D, dtype=torch.float64)[:, None].expand(D, 4, D).reshape(D, 4, *SHAPE)
    hessian = hessian_vector_products(model, x, LOGIT, torch.stack(list(axes), 1))[1].flatten(2)
    unit = (field / field.flatten(1).norm(dim=1)[:, None, None, None]).flatten(1)
    turned = hessian - (hessian * unit[:, None]).sum(2, keepdim=True) * unit[:, None]
    law = sigma**2 / 4 * turned.square().sum((1, 2)) / field.flatten(1).norm(dim=1).square()
    noise = sigma * draw(9, draws, 4, *SHAPE)
    noisy = input_gradient(model, (x + noise).flatten(0, 1), logit_of(TARGET.repeat(draws)))[1]
    found = angular(field.repeat(draws, 1, 1, 1), noisy).double().view(draws, 4).mean(0)
    torch.testing.assert_close(found, law, rtol=0.05, atol=0)
    estimated = curvature_of_hessian(model, x, LOGIT, directions(1000)).direction
    torch.testing.assert_close(sigma**2 * D / 4 * estimated.square(), law, rtol=0.1, atol=0)


def test_bad_input_is_named(images):
    with pytest.raises(BadInput, match=r"finite number > 0; got 0"):
        curvature_of_differences(smooth_net(), images, LOGIT, directions(), step=0)
    with pytest.raises(BadInput, match=r"at least one direction per image; got draws=0"):
        directions(draws=0)
