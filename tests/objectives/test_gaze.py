"""Gaze: the closed form, what it does to first order, and what it refuses."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from pellucid.errors import BadInput
from pellucid.gradients import cross_entropy_with, input_gradient
from pellucid.objectives.gaze import gaze
from pellucid.objectives.natural import natural


class Recorder(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net, self.seen = net, []

    def forward(self, x):
        self.seen.append((x.detach().clone(), self.training))
        return self.net(x)


class Linear(nn.Module):
    """Logits (0, ⟨w, x⟩): the gradient of the loss of label 0 is p₁·w."""

    def __init__(self, w):
        super().__init__()
        self.w = w

    def forward(self, x):
        score = (self.w * x).flatten(1).sum(1)
        return torch.stack([torch.zeros_like(score), score], 1)


def trained_on(model, batch, maps, eps):
    recorder = Recorder(model)
    gaze(recorder, *batch, attention=maps, eps=eps)
    return recorder.seen[-1][0]


def soft_maps(count=8, seed=3):
    return torch.rand(count, 1, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def inner_batch(tiny_batch):
    """Images that no small perturbation brings to the edge of the pixel range."""
    x, y = tiny_batch
    return 0.25 + x / 2, y


def test_closed_form_of_a_binary_map_on_a_linear_model():
    """Three channels, two of four pixels attended: the perturbation is ∓ε·w/‖w‖ whatever the confidence."""
    w = torch.tensor([[[3.0, -1.0], [2.0, 0.5]]] * 3, dtype=torch.float64)
    x, y = torch.full((2, 3, 2, 2), 0.5, dtype=torch.float64), torch.tensor([0, 1])
    m = torch.tensor([[[[1.0, 0.0], [0.0, 1.0]]]] * 2, dtype=torch.float64)
    length = (3 * (9 + 1 + 4 + 0.25)) ** 0.5
    towards = 0.2 * torch.tensor([[-3.0, -1.0], [2.0, -0.5]], dtype=torch.float64) / length
    images = trained_on(Linear(w), (x, y), m, 0.2)
    torch.testing.assert_close(images[0], 0.5 + towards.expand(3, 2, 2))
    torch.testing.assert_close(images[1], 0.5 - towards.expand(3, 2, 2))  # the other label: the gradient points back
    assert torch.linalg.vector_norm(images[0] - x[0]).item() == pytest.approx(0.2)


def test_soft_map_formula_in_numpy(tiny_net, inner_batch):
    x, y = inner_batch
    m = soft_maps()
    _, g = input_gradient(tiny_net, x, cross_entropy_with(y))
    g, numbers = g.numpy(), m.numpy()
    expected = np.stack(
        [
            xi + 2 * 0.1 * (0.5 - mi) * gi / np.sqrt((gi**2).sum())
            for xi, mi, gi in zip(x.numpy(), numbers, g, strict=True)
        ]
    )
    images = trained_on(tiny_net, (x, y), m, 0.1)
    np.testing.assert_allclose(images.numpy(), expected, rtol=1e-10)
    loss = gaze(tiny_net, x, y, attention=m, eps=0.1)
    torch.testing.assert_close(loss.total, cross_entropy(tiny_net(images), y), rtol=1e-12, atol=0)


def test_the_gradient_is_that_of_finite_differences(tiny_net, inner_batch):
    """Once for the pixels, which gives δ, and once for a weight with the perturbed images held fixed."""
    x, y = inner_batch
    m, h = soft_maps(), 1e-6
    slope = torch.zeros(8, 36, dtype=torch.float64)
    for entry in range(36):
        shift = torch.zeros(36, dtype=torch.float64)
        shift[entry] = h
        up, down = (cross_entropy(tiny_net(x + s * shift.view(1, 1, 6, 6)), y, reduction="none") for s in (1, -1))
        slope[:, entry] = ((up - down) / (2 * h)).detach()
    direction = (slope / slope.norm(dim=1, keepdim=True)).view_as(x)
    images = trained_on(tiny_net, (x, y), m, 0.1)
    torch.testing.assert_close(images, x + 0.1 * (1 - 2 * m) * direction, rtol=0, atol=1e-8)

    gaze(tiny_net, x, y, attention=m, eps=0.1).total.backward()
    for index in ((0, 0), (2, 77)):
        losses = []
        for sign in (1, -1):
            moved = copy.deepcopy(tiny_net)
            with torch.no_grad():
                moved.head.weight[index] += sign * h
            losses.append(cross_entropy(moved(images), y).item())
        assert tiny_net.head.weight.grad[index].item() == pytest.approx((losses[0] - losses[1]) / (2 * h), rel=1e-5)


@pytest.mark.parametrize("binary", [True, False])
def test_first_order_effect_on_the_loss(tiny_net, inner_batch, binary):
    """+ε(‖g_out‖² - ‖g_in‖²)/‖g‖, for soft maps +εΣ(1-2m)g²/‖g‖; the error falls as ε²."""
    x, y = inner_batch
    m = soft_maps().round() if binary else soft_maps()
    loss, g = cross_entropy(tiny_net(x), y), input_gradient(tiny_net, x, cross_entropy_with(y))[1]
    norm = g.flatten(1).norm(dim=1)
    if binary:
        inside, outside = (g * m).flatten(1).norm(dim=1), (g * (1 - m)).flatten(1).norm(dim=1)
        effect = ((outside**2 - inside**2) / norm).mean()
    else:
        effect = (((1 - 2 * m) * g**2).flatten(1).sum(1) / norm).mean()
    errors = [
        abs((gaze(tiny_net, x, y, attention=m, eps=eps).total - loss - eps * effect).item())
        for eps in (0.04, 0.02, 0.01)
    ]
    assert errors[0] < 0.1 * 0.04 * abs(float(effect))
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.2)
    assert errors[1] / errors[2] == pytest.approx(4, rel=0.1)


def test_first_order_effect_on_the_weights_by_double_backward(tiny_net, inner_batch):
    """The slope of ε·Σ(1-2m)g²/(2‖g‖) with ‖g‖ held constant; the error falls as ε²."""
    x, y = inner_batch
    m, weight = soft_maps(), tiny_net.conv.weight
    with torch.enable_grad():
        _, g = input_gradient(tiny_net, x, cross_entropy_with(y), create_graph=True)
        norm = g.detach().flatten(1).norm(dim=1)
        term = (((1 - 2 * m) * g**2).flatten(1).sum(1) / (2 * norm)).mean()
        (slope,) = torch.autograd.grad(term, weight, retain_graph=True)
        (plain,) = torch.autograd.grad(cross_entropy(tiny_net(x), y), weight)

    def error(eps):
        (found,) = torch.autograd.grad(gaze(tiny_net, x, y, attention=m, eps=eps).total, weight)
        return float((found - plain - eps * slope).norm())

    assert error(0.02) < 0.1 * 0.02 * float(slope.norm())
    assert error(0.02) / error(0.01) == pytest.approx(4, rel=0.15)


def test_limits_of_the_map(tiny_net, inner_batch):
    """Half everywhere changes nothing; nobody looking is the L2 attack; looking everywhere the opposite."""
    x, y = inner_batch
    ones = torch.ones(8, 1, 6, 6, dtype=torch.float64)
    assert torch.equal(trained_on(tiny_net, (x, y), 0.5 * ones, 0.1), x)
    worse = trained_on(tiny_net, (x, y), 0 * ones, 0.1)
    torch.testing.assert_close((worse - x).flatten(1).norm(dim=1), torch.full((8,), 0.1, dtype=torch.float64))
    torch.testing.assert_close(x - (worse - x), trained_on(tiny_net, (x, y), ones, 0.1))
    assert cross_entropy(tiny_net(worse), y) > cross_entropy(tiny_net(x), y)


def test_a_zero_gradient_moves_nothing_and_a_tiny_one_moves_as_far_as_any(inner_batch):
    x, y = inner_batch
    w = torch.rand(1, 6, 6, generator=torch.Generator().manual_seed(0)) - 0.5
    batch, maps = (x.float(), torch.zeros(8, dtype=torch.int64)), torch.zeros(8, 1, 6, 6)
    assert torch.equal(trained_on(Linear(0 * w), batch, maps, 0.1), batch[0])
    reference = trained_on(Linear(w), batch, maps, 0.1)
    for scale in (1e-15, 1e-30):  # the squares of such gradients underflow in float32
        torch.testing.assert_close(trained_on(Linear(scale * w), batch, maps, 0.1), reference)


def test_images_stay_in_the_pixel_range_and_zero_eps_is_natural(tiny_net, tiny_batch):
    images = trained_on(tiny_net, tiny_batch, soft_maps(), 5.0)
    assert images.min() == 0
    assert images.max() == 1
    loss = gaze(tiny_net, *tiny_batch, attention=soft_maps(), eps=0.0)
    assert torch.equal(loss.total, natural(tiny_net, *tiny_batch).total)
    assert torch.equal(loss.parts["adversarial_cross_entropy"], loss.total.detach())


def test_the_attack_is_in_eval_mode(tiny_net, tiny_batch):
    model = Recorder(tiny_net).train()
    gaze(model, *tiny_batch, attention=soft_maps(), eps=0.1)
    assert [training for _, training in model.seen] == [False, True]
    assert int(model.net.norm.num_batches_tracked) == 1


def test_batch_mates_change_nothing(tiny_net, tiny_batch):
    x, y = tiny_batch
    m = soft_maps()
    together, alone = trained_on(tiny_net, (x, y), m, 0.3), trained_on(tiny_net, (x[3:4], y[3:4]), m[3:4], 0.3)
    torch.testing.assert_close(together[3:4], alone, rtol=0, atol=1e-12)


def test_training_moves_gradient_energy_into_the_attended_half(tiny_net, tiny_batch):
    x, y = tiny_batch
    m = torch.zeros(8, 1, 6, 6, dtype=torch.float64)
    m[..., :3] = 1

    def inside_after(objective, **options):
        model = copy.deepcopy(tiny_net)
        optimizer = torch.optim.Adam(model.parameters(), 0.01)
        for _ in range(60):
            optimizer.zero_grad()
            objective(model, x, y, **options).total.backward()
            optimizer.step()
        g = input_gradient(model, x, cross_entropy_with(y))[1].square()
        return float((g * m).sum() / g.sum())

    assert inside_after(gaze, attention=m, eps=0.3) > inside_after(natural) + 0.1
    assert inside_after(gaze, attention=1 - m, eps=0.3) < inside_after(natural) - 0.1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda m: m[:7],
            r"floating point of shape \(8, 1, 6, 6\), one for each image; got torch.float64 of shape \(7,",
        ),
        (lambda m: m[..., :5], r"got torch.float64 of shape \(8, 1, 6, 5\)"),
        (lambda m: m.expand(8, 3, 6, 6), r"of shape \(8, 3, 6, 6\)"),
        (lambda m: m[:, 0], r"of shape \(8, 6, 6\)"),
        (lambda m: (255 * m).to(torch.uint8), "got torch.uint8"),
        (lambda m: 255 * m, r"must lie in \[0, 1\]; saw values from .* to 25"),
        (lambda m: m - 0.5, r"must lie in \[0, 1\]; saw values from -0\."),
        (lambda m: m.where(m < 0.9, torch.nan), "saw values from nan to nan"),
    ],
)
def test_impossible_maps_are_refused(tiny_net, tiny_batch, change, message):
    with pytest.raises(BadInput, match=message):
        gaze(tiny_net, *tiny_batch, attention=change(soft_maps()), eps=0.1)


@pytest.mark.parametrize("eps", [-0.1, float("nan"), float("inf")])
def test_impossible_eps_is_refused(tiny_net, tiny_batch, eps):
    with pytest.raises(BadInput, match="eps must be a finite number ≥ 0; got"):
        gaze(tiny_net, *tiny_batch, attention=soft_maps(), eps=eps)
