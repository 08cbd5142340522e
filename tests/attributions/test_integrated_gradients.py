import pytest
import torch
from captum.attr import IntegratedGradients
from hypothesis import given, settings
from hypothesis import strategies as st
from smooth_classifier import smooth_classifier

from pellucid.attributions import gradient, input_x_gradient, integrated_gradients
from pellucid.attributions.quadrature import RULES, quadrature
from pellucid.errors import BadInput

CAPTUM = {
    "trapezoid_legacy": "riemann_trapezoid",
    "gauss_legendre": "gausslegendre",
    "midpoint": "riemann_middle",
}


@pytest.mark.parametrize("rule", CAPTUM)
@pytest.mark.parametrize("steps", [2, 10, 50])
@pytest.mark.parametrize("baseline", [0.0, "image"])
def test_equals_captum(rule, steps, baseline, model, x, target):
    start = x.flip(0) if baseline == "image" else 0.0
    expected = IntegratedGradients(model).attribute(x, start, target=target, n_steps=steps, method=CAPTUM[rule])
    found = integrated_gradients(model, x, target, baseline=start, steps=steps, rule=rule)
    tolerance = 1e-10 if rule == "trapezoid_legacy" else 1e-7  # Captum rounds nodes and weights to float32
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("steps", "total"), [(10, 0.9), (50, 0.98)])
def test_golden_weights_of_the_legacy_trapezoid(steps, total):
    nodes, weights = quadrature("trapezoid-legacy", steps)
    assert sum(weights) == pytest.approx(total, abs=1e-7)
    assert (nodes[0], nodes[-1]) == (0, 1)


@pytest.mark.parametrize(("rule", "degree"), [("gauss_legendre", 13), ("midpoint", 1), ("trapezoid", 1)])
def test_rules_integrate_polynomials_up_to_their_degree(rule, degree):
    nodes, weights = quadrature(rule, 7)
    for power in range(degree + 1):
        integral = sum(weight * node**power for node, weight in zip(nodes, weights, strict=True))
        assert integral == pytest.approx(1 / (power + 1), abs=1e-14)
    over = sum(weight * node ** (degree + 1) for node, weight in zip(nodes, weights, strict=True))
    assert abs(over - 1 / (degree + 2)) > 1e-10  # and no further: it is this rule and not a better one


@pytest.mark.parametrize("rule", RULES)
def test_completeness(rule, model, x, target):
    """The entries sum to the change of the logit; the legacy rule misses one part in n."""
    start, steps = torch.full((3, 1, 1), 0.3, dtype=x.dtype), 50
    with torch.no_grad():
        change = (model(x) - model(start.expand_as(x))).gather(1, target[:, None]).squeeze(1)
    share = 1 - 1 / steps if rule == "trapezoid_legacy" else 1
    total = integrated_gradients(model, x, target, baseline=start, steps=steps, rule=rule).sum((1, 2, 3))
    torch.testing.assert_close(total, share * change, rtol=0, atol=1e-4)
    assert change.abs().max() > 0.1  # of which the legacy rule misses more than the tolerance


@pytest.mark.parametrize(("side", "most"), [(28, 128), (224, 13), (2000, 1)])
def test_large_images_go_through_in_smaller_passes(side, most):
    passes = []

    def model(images):
        passes.append(len(images))
        return images.mean((2, 3))

    x = torch.rand(1, 3, 1, 1).expand(1, 3, side, side)
    integrated_gradients(model, x, torch.zeros(1, dtype=torch.int64), steps=130 if side < 100 else 15)
    assert max(passes) == most


@settings(max_examples=25, deadline=None)
@given(chunk=st.integers(1, 80), steps=st.integers(2, 12), rule=st.sampled_from(sorted(RULES)))
def test_chunk_bounds_the_passes_and_not_the_result(chunk, steps, rule):
    model = smooth_classifier()
    x = torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    target = torch.tensor([0, 1, 2, 3, 0, 1])
    passes = []
    model.register_forward_pre_hook(lambda _, inputs: passes.append(len(inputs[0])))
    found = integrated_gradients(model, x, target, steps=steps, rule=rule, chunk=chunk)
    assert max(passes) <= chunk
    assert sum(passes) == 6 * steps  # what the mathematics costs, and no more
    in_one = integrated_gradients(model, x, target, steps=steps, rule=rule, chunk=10_000)
    torch.testing.assert_close(found, in_one, rtol=1e-12, atol=1e-14)


def test_asks_for_no_weight_gradients(model, x, target):
    """Each pass goes back to the pixels only."""
    asked = []
    weight = torch.ones((), dtype=x.dtype, requires_grad=True).clone()
    weight.register_hook(asked.append)
    integrated_gradients(lambda images: model(images * weight), x, target, steps=3)
    assert asked == []


def test_equals_input_x_gradient_where_the_model_is_linear(x, target):
    matrix = torch.randn(3 * 8 * 8, 4, dtype=x.dtype, generator=torch.Generator().manual_seed(2))

    def linear(images):
        return images.flatten(1) @ matrix

    found = integrated_gradients(linear, x, target, steps=3)
    torch.testing.assert_close(found, input_x_gradient(linear, x, target), rtol=1e-12, atol=1e-12)


def test_of_a_short_way_is_the_gradient(model, x, target):
    near = x - 1e-6
    found = integrated_gradients(model, x, target, baseline=near, steps=1) / (x - near)
    torch.testing.assert_close(found, gradient(model, x, target), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rule": "gauss_legender"}, "did you mean 'gauss_legendre'"),
        ({"steps": 0}, "at least 1 steps; got 0"),
        ({"steps": 1, "rule": "trapezoid"}, "at least 2 steps; got 1"),
        ({"chunk": 0}, "chunk"),
        ({"baseline": torch.zeros(2, 1, 1)}, "does not broadcast"),
    ],
)
def test_refuses_what_it_cannot_do(options, message, model, x, target):
    with pytest.raises(BadInput, match=message):
        integrated_gradients(model, x, target, **options)
