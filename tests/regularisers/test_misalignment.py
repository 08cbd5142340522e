"""Misalignment (definitions §3): closed forms, a reference written as loops, and what must not change it."""

import inspect
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pellucid import regularisers
from pellucid.errors import BadInput
from pellucid.objectives import gaze, natural
from pellucid.regularisers.composition import regularised
from pellucid.regularisers.misalignment import (
    angular,
    misalignment,
    neighbour_consensus,
    neighbour_misalignment,
    relative_misalignment,
    relative_variation,
)

SHAPE = (5, 2, 3, 3)
few = settings(max_examples=25, deadline=None)
OF_THE_FIELD = [name for name in regularisers.__all__ if name != "spectral_norm"]  # that one is of the weights alone
each = pytest.mark.parametrize("name", OF_THE_FIELD)


def draw(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def images(seed=0):
    return draw(seed, *SHAPE).sigmoid(), torch.tensor([0, 1, 2, 0, 1])


def network(seed=0, activation=nn.Tanh):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(2, 4, 2), activation(), nn.Flatten(), nn.Linear(16, 3)).double()


def centred_gradients(model, x, predicted):
    """∇ₓ(z_ŷ - mean z), image by image."""
    found = []
    for image, label in zip(x, predicted, strict=True):
        leaf = image[None].clone().requires_grad_(True)
        logits = model(leaf)[0]
        found.append(torch.autograd.grad(logits[label] - logits.mean(), leaf, create_graph=True)[0][0])
    return torch.stack(found)


def test_parallel_orthogonal_opposite():
    a = torch.tensor([[3.0, 0.0], [3.0, 0.0], [3.0, 0.0], [0.0, 0.0]], dtype=torch.float64)
    b = torch.tensor([[6.0, 0.0], [0.0, 2.0], [-3.0, 0.0], [0.0, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(angular(a, b), torch.tensor([0, 0.5, 1, 0.5]).double(), atol=1e-8, rtol=0)
    torch.testing.assert_close(relative_variation(a, b), torch.tensor([0.1, 0.5, 1, 0]).double(), atol=1e-8, rtol=0)


@few
@given(seed=st.integers(0, 10_000), scale=st.floats(1e-2, 1e4))
def test_range_symmetry_and_scale(seed, scale):
    a, b = draw(seed, *SHAPE), draw(seed + 1, *SHAPE)
    for compare in (angular, relative_variation):
        value = compare(a, b)
        assert ((value >= 0) & (value <= 1)).all()
        torch.testing.assert_close(value, compare(b, a))
        torch.testing.assert_close(compare(scale * a, scale * b), value, rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(angular(a, scale * b), angular(a, b), rtol=1e-4, atol=1e-6)
    assert (relative_variation(a, 3 * a) > 0.19).all()  # ½·4/10: length counts, unlike in the angle
    assert (angular(a, 3 * a) < 1e-6).all()


@pytest.mark.parametrize("compare", [angular, relative_variation])
def test_no_gradient_is_nan_at_a_field_of_zeros(compare):
    a = torch.zeros(2, 3, requires_grad=True)
    compare(a, torch.zeros(2, 3)).sum().backward()
    assert torch.isfinite(a.grad).all()


@pytest.mark.parametrize(
    ("function", "compare"), [(misalignment, angular), (relative_misalignment, relative_variation)]
)
def test_it_is_the_mean_over_noisy_copies_that_keep_the_images_predicted_class(function, compare):
    model, (x, y) = network(), images()
    predicted = model(x).argmax(1)
    noise = torch.randn((3, *SHAPE), generator=generator(4), dtype=torch.float64)
    own = centred_gradients(model, x, predicted)
    copies = [compare(own, centred_gradients(model, x + 0.3 * draws, predicted)) for draws in noise]
    expected = torch.stack(copies).mean(0)
    found = function(model, x, y, generator=generator(4), sigma=0.3, draws=3)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
    ours = torch.autograd.grad(found.sum(), next(iter(model.parameters())))[0]
    theirs = torch.autograd.grad(expected.sum(), next(iter(model.parameters())))[0]
    torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-10)


def test_a_linear_model_is_aligned_everywhere():
    model, (x, y) = nn.Sequential(nn.Flatten(), nn.Linear(18, 3)).double(), images()
    for name in OF_THE_FIELD:
        value = getattr(regularisers, name)(model, x, y, generator=generator())
        if name.endswith("density") or name.startswith(("neighbour", "sparse")):  # these ask for more than alignment
            continue
        assert value.abs().max() < 1e-7


def test_a_quadratic_has_the_angle_of_its_closed_form():
    matrix = draw(3, 18, 18)

    def model(x):
        flat = x.flatten(1)
        value = (flat @ (matrix + matrix.T) * flat).sum(1) / 2
        return torch.stack([value, -value], 1)

    x, y = images()
    wrapped = nn.Module()
    wrapped.forward = model
    noise = torch.randn((1, *SHAPE), generator=generator(1), dtype=torch.float64)[0]
    fields = [point.flatten(1) @ (matrix + matrix.T) for point in (x, x + 0.2 * noise)]
    expected = (1 - nn.functional.cosine_similarity(*fields)) / 2
    found = misalignment(wrapped, x, y, generator=generator(1), sigma=0.2)
    torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-8)


@each
def test_labels_scale_of_logits_and_common_logits_do_not_matter(name):
    function, model, (x, y) = getattr(regularisers, name), network(), images()
    wrapped = nn.Module()
    wrapped.forward = lambda images: 50 * model(images) + images.flatten(1).square().sum(1, keepdim=True)
    first = function(model, x, y, generator=generator())
    torch.testing.assert_close(function(wrapped, x, (y + 1) % 3, generator=generator()), first, rtol=1e-4, atol=1e-6)


@each
def test_its_weight_gradient_is_that_of_finite_differences(name):
    function, model, (x, y) = getattr(regularisers, name), network(), images()
    weight = model[0].weight

    def value():
        return function(model, x, y, generator=generator(7)).sum()

    (exact,) = torch.autograd.grad(value(), weight)
    if name == "neighbour_misalignment":  # the consensus is a constant in the gradient, but not in finite differences
        assert exact.abs().max() > 1e-4
        return
    direction, step = draw(9, *weight.shape), 1e-5
    with torch.no_grad():
        weight += step * direction
        above = value().item()
        weight -= 2 * step * direction
        below = value().item()
    assert (exact * direction).sum().item() == pytest.approx((above - below) / (2 * step), rel=1e-6)


def test_the_consensus_is_that_of_a_loop_and_takes_no_gradient():
    x, field = draw(0, 12, 4), draw(1, 12, 4).requires_grad_(True)
    unit = (field / field.norm(dim=1, keepdim=True)).detach()
    far = torch.cdist(x, x)
    order = [sorted((far[i, j].item(), j) for j in range(12) if j != i)[:3] for i in range(12)]
    width = torch.tensor([[d for d, _ in row] for row in order]).median()
    expected = []
    for i, row in enumerate(order):
        consensus = sum(math.exp(-((d / width) ** 2) / 2) * unit[j] for d, j in row)
        expected.append((1 - unit[i] @ consensus / consensus.norm()) / 2)
    found = neighbour_consensus(x, field, k=3)
    torch.testing.assert_close(found, torch.stack(expected), rtol=1e-6, atol=1e-8)
    (slope,) = torch.autograd.grad(found[0], field)
    assert slope[0].abs().max() > 0
    assert (slope[1:] == 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("distance", [10.0, 300.0, 1e6])
def test_a_point_far_from_all_others_has_the_consensus_of_its_neighbours(dtype, distance):
    """Its weights exp(-d²/2h²) are far below the smallest number of the precision; their ratios are not."""
    x, field = draw(0, 12, 2), draw(1, 12, 2)
    x[-1] = torch.tensor([distance, 0.0])
    x[:2, 0], x[:2, 1] = 5.0, torch.tensor([-1.0, 1.0])  # as far from it as each other, and no other so near
    field[:2] = torch.tensor([[3.0, 0.0], [0.0, 0.1]])
    field[-1] = torch.tensor([2.0, 2.0])
    x, field = x.to(dtype), field.to(dtype).requires_grad_(True)
    value = neighbour_consensus(x, field, k=4)[-1]
    assert value.item() == pytest.approx(0, abs=1e-6)
    assert neighbour_consensus(x, -field, k=4)[-1].item() == pytest.approx(0, abs=1e-6)
    turned = torch.cat([field[:-1], torch.tensor([[2.0, -2.0]], dtype=dtype)])
    assert neighbour_consensus(x, turned, k=4)[-1].item() == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_point_far_from_copies_of_one_image_has_their_consensus(dtype):
    x = torch.zeros(6, 2, dtype=dtype)
    x[-1] = 3.0  # the median distance is 0
    field = torch.tensor([1.0, 2.0], dtype=dtype).repeat(6, 1)
    field[-1] *= -1
    value = neighbour_consensus(x, field, k=4)
    torch.testing.assert_close(value, torch.tensor([0, 0, 0, 0, 0, 1], dtype=dtype), atol=1e-6, rtol=0)


def test_the_consensus_of_one_image_of_copies_and_of_zeros_is_defined():
    field = draw(0, 4, 3).requires_grad_(True)
    assert neighbour_consensus(field[:1].detach(), field[:1]).tolist() == [0.5]
    copies = torch.ones(4, 3, dtype=torch.float64)
    torch.testing.assert_close(neighbour_consensus(copies, copies), torch.zeros(4, dtype=torch.float64))
    value = neighbour_consensus(copies, 0 * field)
    assert value.tolist() == [0.5] * 4
    value.sum().backward()
    assert torch.isfinite(field.grad).all()


def test_the_model_keeps_its_mode_and_its_statistics():
    model = nn.Sequential(nn.Conv2d(2, 4, 2), nn.BatchNorm2d(4), nn.Tanh(), nn.Flatten(), nn.Linear(16, 3)).double()
    model.train()
    before = model[1].running_mean.clone()
    misalignment(model, *images(), generator=generator())
    assert all(module.training for module in model.modules())
    assert torch.equal(model[1].running_mean, before)


def test_batch_mates_do_not_change_an_images_value():
    model, (x, y) = network(), images()
    alone = misalignment(model, x[:1], y[:1], generator=generator(), sigma=0.0)
    together = misalignment(model, x, y, generator=generator(), sigma=0.0)
    torch.testing.assert_close(alone, together[:1])
    noise = generator(5)
    whole = misalignment(model, x, y, generator=noise, sigma=0.3)
    with pytest.raises(AssertionError):  # the noise is drawn for the batch: training draws per step
        torch.testing.assert_close(misalignment(model, x[1:2], y[1:2], generator=generator(5), sigma=0.3), whole[1:2])


def test_one_class_has_no_misalignment():
    model = nn.Sequential(nn.Flatten(), nn.Linear(18, 1)).double()
    with pytest.raises(BadInput, match="logits of at least 2 classes; the model has 1"):
        misalignment(model, *images(), generator=generator())


def test_an_objective_with_terms_adds_their_weighted_means():
    model, (x, y) = network(), images()
    plain = natural(model, x, y, generator=generator())
    term = misalignment(model, x, y, generator=generator()).mean()
    objective = regularised(natural, {"misalignment": (5.0, misalignment), "idle": (0.0, None)})
    found = objective(model, x, y, generator=generator())
    torch.testing.assert_close(found.total, plain.total + 5 * term)
    assert found.parts["misalignment"] == term
    assert set(found.parts) == {*plain.parts, "misalignment"}


def test_the_sum_still_says_whether_it_takes_attention_maps():
    assert "attention" in inspect.signature(regularised(gaze, {})).parameters
    assert "attention" not in inspect.signature(regularised(natural, {})).parameters


@pytest.mark.parametrize("weight", [-1.0, math.nan, math.inf])
def test_a_weight_that_would_turn_the_term_round_is_refused(weight):
    with pytest.raises(BadInput, match="the weight of misalignment must be a finite number ≥ 0"):
        regularised(natural, {"misalignment": (weight, misalignment)})


@pytest.mark.parametrize("options", [{"sigma": -1.0}, {"sigma": math.inf}, {"draws": 0}])
def test_noise_that_is_none_is_refused(options):
    with pytest.raises(BadInput, match="a finite sigma ≥ 0 and at least 1 draw"):
        misalignment(network(), *images(), generator=generator(), **options)


def test_a_straight_field_of_two_classes_is_aligned_whatever_is_predicted():
    """Definitions §3: with two classes the field is that of z₁ - z₀, so it does not turn round at the boundary."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(18, 2)).double()
    x = torch.rand(12, 2, 3, 3, dtype=torch.float64)
    with torch.no_grad():
        model[1].bias.copy_(torch.tensor([0.0, 0.0]))
        model[1].bias[0] = (model(x)[:, 1] - model(x)[:, 0]).median()
    assert model(x).argmax(1).unique().numel() == 2
    found = neighbour_misalignment(model, x, torch.zeros(12, dtype=torch.int64), generator=generator())
    torch.testing.assert_close(found, torch.zeros_like(found), atol=1e-9, rtol=0)
