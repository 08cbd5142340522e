"""The published forms (definitions §2), written out step by step behind the normalisation layer."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from pellucid.errors import BadInput
from pellucid.models.normalised import normalised
from pellucid.objectives import elastic_net_legacy, gaze_legacy, group_norm_legacy, l1_legacy

MEAN, STD = (0.4, 0.5), (0.25, 0.5)


def network():
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Tanh(), nn.Flatten(), nn.Linear(48, 4))
    return normalised(layers, MEAN, STD).double().eval()


def batch():
    draws = torch.Generator().manual_seed(1)
    return torch.rand(5, 2, 6, 6, generator=draws, dtype=torch.float64), torch.tensor([0, 1, 2, 3, 0])


def slope(model, u, y):
    """Gradient of each image's cross-entropy behind the normalisation, in train mode."""
    u = u.detach().requires_grad_(True)
    return torch.autograd.grad(cross_entropy(model.network(u), y, reduction="sum"), u)[0]


def unit(g):
    return g / g.flatten(1).norm(dim=1)[:, None, None, None]


def l1_by_hand(model, u, y, steps, eps):
    if steps == 1:
        return eps * slope(model, u, y).sign()
    delta = torch.zeros_like(u)
    for _ in range(steps):
        delta = (delta + 0.3 * eps * slope(model, u + delta, y).sign()).clamp(-eps, eps)
    return delta


def elastic_by_hand(model, u, y, steps, eps, eps2):
    if steps == 1:
        g = slope(model, u, y)
        return eps * g.sign() + 2 * eps2 * g
    delta = torch.zeros_like(u)
    for _ in range(steps):
        leaf = delta.detach().requires_grad_(True)
        value = cross_entropy(model.network(u + leaf), y, reduction="sum")
        value = value - ((leaf.abs() - eps).relu() ** 2).sum() / (4 * eps2)
        delta = delta + 0.3 * unit(torch.autograd.grad(value, leaf)[0])
    return delta


def group_by_hand(model, u, y, steps, eps, block):
    delta = torch.zeros_like(u)
    for _ in range(steps):
        g = slope(model, u + delta, y)
        delta = g.clone() if steps == 1 else delta + unit(g)
        for image in range(len(u)):
            for channel in range(u.shape[1]):
                for row in range(0, u.shape[2], block):
                    for column in range(0, u.shape[3], block):
                        part = delta[image, channel, row : row + block, column : column + block]
                        norm = part.norm()
                        part *= eps / norm if steps == 1 else min(1.0, eps / norm)
    return delta


def gaze_by_hand(model, u, y, steps, eps, attention):
    return 2 * eps * (0.5 - attention) * unit(slope(model, u, y))


ATTENTION = (torch.rand(5, 1, 6, 6, generator=torch.Generator().manual_seed(2)) > 0.6).double()
CASES = [
    (l1_legacy, l1_by_hand, 1, {"eps": 0.05}),
    (l1_legacy, l1_by_hand, 7, {"eps": 0.05}),
    (elastic_net_legacy, elastic_by_hand, 1, {"eps": 0.05, "eps2": 0.3}),
    (elastic_net_legacy, elastic_by_hand, 7, {"eps": 0.01, "eps2": 0.3}),
    (group_norm_legacy, group_by_hand, 1, {"eps": 0.3, "block": 2}),
    (group_norm_legacy, group_by_hand, 7, {"eps": 0.3, "block": 3}),
    (gaze_legacy, gaze_by_hand, None, {"eps": 0.5, "attention": ATTENTION}),
]


@pytest.mark.parametrize(("objective", "by_hand", "steps", "options"), CASES)
def test_it_is_the_published_form_step_by_step(objective, by_hand, steps, options):
    model, reference, (x, y) = network(), network(), batch()
    mean, std = (torch.tensor(values, dtype=torch.float64).view(1, 2, 1, 1) for values in (MEAN, STD))
    reference.train()
    delta = by_hand(reference, (x - mean) / std, y, steps or 1, **options)
    reference.eval()
    expected = cross_entropy(reference((((x - mean) / std) + delta) * std + mean), y)
    repeats = {} if steps is None else {"steps": steps}
    loss = objective(model, x, y, generator=None, **options, **repeats)
    torch.testing.assert_close(loss.total, expected, rtol=1e-9, atol=1e-11)
    # The attack's passes, in train mode, have moved BatchNorm's statistics; the mode itself is the caller's again.
    torch.testing.assert_close(model.network[1].running_mean, reference.network[1].running_mean)
    assert model.network[1].num_batches_tracked == (steps or 1)
    assert not model.network[1].training


@pytest.mark.parametrize(("objective", "by_hand", "steps", "options"), CASES)
def test_images_without_gradient_stay_numbers(objective, by_hand, steps, options):
    model, (x, y) = network(), batch()
    with torch.no_grad():
        model.network[4].weight.zero_()
    repeats = {} if steps is None else {"steps": steps}
    loss = objective(model, x, y, generator=None, **options, **repeats)
    torch.testing.assert_close(loss.total, cross_entropy(model(x), y), rtol=1e-9, atol=0)


def test_a_model_without_a_normalisation_layer_is_refused():
    x, y = batch()
    with pytest.raises(BadInput, match="normalised space needs a model made by"):
        l1_legacy(network().network, x, y)


def test_a_map_of_another_size_is_refused():
    with pytest.raises(BadInput, match="attention"):
        gaze_legacy(network(), *batch(), attention=ATTENTION[..., :3], eps=0.5)
