import pytest
import torch
from torch import nn

from pellucid.attacks import L2, Linf, ball, pgd, worst_case
from pellucid.gradients import cross_entropy_with

torchattacks = pytest.importorskip("torchattacks")


def start_of(region, x, seed=0):
    return region.sample(x, torch.Generator().manual_seed(seed))


def test_equals_torchattacks_from_the_same_start(tiny_net, tiny_batch, monkeypatch):
    x, y = tiny_batch
    start = start_of(Linf(0.1), x)
    reference = torchattacks.PGD(tiny_net, eps=0.1, alpha=0.03, steps=10, random_start=True)
    monkeypatch.setattr(torch.Tensor, "uniform_", lambda self, low, high: self.copy_(start))
    theirs = reference(x, y)
    monkeypatch.undo()
    ours = pgd(tiny_net, x, y, Linf(0.1), step_size=0.03, steps=10, start=start)
    assert (ours - x).abs().max() > 0.05
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


def test_equals_torchattacks_in_l2(tiny_net, tiny_batch):
    x, y = tiny_batch
    theirs = torchattacks.PGDL2(tiny_net, eps=0.5, alpha=0.2, steps=10, random_start=False, eps_for_division=0)(x, y)
    ours = pgd(tiny_net, x, y, L2(0.5), step_size=0.2, steps=10)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


def test_equals_torchattacks_behind_a_normalisation_layer(tiny_net, tiny_batch):
    from pellucid.models.normalised import normalised

    x, y = tiny_batch
    mean, std = (0.3,), (0.2,)
    model = normalised(tiny_net, mean, std).double().eval()
    reference = torchattacks.PGD(tiny_net, eps=0.1, alpha=0.03, steps=10, random_start=False)
    reference.set_normalization_used(mean=mean, std=std)
    theirs = reference((x - mean[0]) / std[0], y) * std[0] + mean[0]
    ours = pgd(model, x, y, Linf(0.1), step_size=0.03, steps=10)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)  # theirs keeps mean and std in float32


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("eps", [0.0, 0.05, 0.4])
def test_stays_inside_the_ball_and_the_pixel_range(tiny_net, tiny_batch, norm, eps):
    x, y = tiny_batch
    region = ball(norm, eps)
    moved = pgd(tiny_net, x, y, region, step_size=0.1, steps=5, start=start_of(region, x))
    assert moved.min() >= 0
    assert moved.max() <= 1
    torch.testing.assert_close(region.project(moved - x), moved - x, rtol=1e-9, atol=1e-12)


def test_raises_the_loss_more_than_its_random_start(tiny_net, tiny_batch):
    x, y = tiny_batch
    region = Linf(0.1)
    start = start_of(region, x)
    loss = cross_entropy_with(y)
    attacked = pgd(tiny_net, x, y, region, step_size=0.02, steps=10, start=start)
    assert (loss(tiny_net(attacked)) > loss(tiny_net((x + start).clamp(0, 1)))).all()


def test_reaches_the_exact_maximum_on_a_linear_model(tiny_batch):
    x, _ = tiny_batch
    x = 0.3 + 0.4 * x  # far from the pixel range's ends
    y = torch.zeros(len(x), dtype=torch.int64)
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 2)).double()
    weight = (model[1].weight[1] - model[1].weight[0]).view(1, 1, 6, 6)
    attacked = pgd(model, x, y, Linf(0.1), step_size=0.03, steps=8)
    torch.testing.assert_close(attacked - x, 0.1 * weight.sign().expand_as(x))


@pytest.mark.parametrize("size", [1, 3, 8])
def test_batch_mates_do_not_matter(tiny_net, tiny_batch, size):
    x, y = tiny_batch
    start = start_of(Linf(0.1), x)
    whole = pgd(tiny_net, x, y, Linf(0.1), step_size=0.03, steps=10, start=start)
    parts = [
        pgd(tiny_net, a, b, Linf(0.1), step_size=0.03, steps=10, start=c)
        for a, b, c in zip(x.split(size), y.split(size), start.split(size), strict=True)
    ]
    torch.testing.assert_close(torch.cat(parts), whole, rtol=0, atol=1e-12)


def test_computes_no_weight_gradients_and_keeps_its_input(tiny_net, tiny_batch):
    x, y = tiny_batch
    before = x.clone()
    pgd(tiny_net, x, y, Linf(0.1), step_size=0.03, steps=3)
    assert torch.equal(x, before)
    assert all(parameter.grad is None for parameter in tiny_net.parameters())


class CountingNet(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net, self.images = net, 0

    def forward(self, x):
        self.images += len(x)
        return self.net(x)


def test_worst_case_returns_images_whose_accuracy_is_the_reported_one(tiny_net, tiny_batch):
    x, _ = tiny_batch
    y = tiny_net(x).argmax(1)
    y[0] = (y[0] + 1) % 3  # one image is misclassified from the start
    starts = [start_of(Linf(0.1), x, seed) for seed in range(3)]
    images, robust = worst_case(tiny_net, x, y, Linf(0.1), step_size=0.025, steps=20, starts=starts)
    assert torch.equal(tiny_net(images).argmax(1) == y, robust)
    assert not robust[0]
    assert torch.equal(images[0], x[0])
    assert 0 < int(robust.sum()) < len(x) - 1
    assert ((images - x).abs() <= 0.1 + 1e-12).all()


def test_worst_case_is_at_least_as_strong_as_the_last_iterate(tiny_net, tiny_batch):
    x, _ = tiny_batch
    y = tiny_net(x).argmax(1)
    start = start_of(Linf(0.1), x)
    last = pgd(tiny_net, x, y, Linf(0.1), step_size=0.025, steps=20, start=start)
    _, robust = worst_case(tiny_net, x, y, Linf(0.1), step_size=0.025, steps=20, starts=[start])
    assert not (robust & (tiny_net(last).argmax(1) != y)).any()


def test_worst_case_spends_nothing_on_fooled_images(tiny_net, tiny_batch):
    x, y = tiny_batch
    model = CountingNet(tiny_net)
    wrong = (tiny_net(x).argmax(1) + 1) % 3
    worst_case(model, x, wrong, Linf(0.1), step_size=0.025, steps=20, starts=[None, None])
    assert model.images == len(x)
