import copy
import inspect

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from pellucid.attacks import Linf, pgd
from pellucid.attacks.duality import L1, ElasticNet, GroupNorm
from pellucid.errors import BadInput
from pellucid.gradients import cross_entropy_with, input_gradient
from pellucid.objectives.elastic_net import elastic_net
from pellucid.objectives.group_norm import group_norm
from pellucid.objectives.l1 import l1
from pellucid.objectives.natural import natural

CASES = [
    (l1, {"eps": 0.05}, L1(0.05)),
    (elastic_net, {"eps": 0.05, "eps2": 0.5}, ElasticNet(0.05, 0.5)),
    (elastic_net, {"eps": 0.05, "eps2": 0.0}, L1(0.05)),
    (group_norm, {"eps": 0.1, "block": 2}, GroupNorm(0.1, 2)),
    (group_norm, {"eps": 0.1, "block": 4, "joint_channels": True}, GroupNorm(0.1, 4, True)),
    (group_norm, {"eps": 0.1}, GroupNorm(0.1, 1)),
]
every_case = pytest.mark.parametrize(("objective", "options", "norm"), CASES)


class Recorder(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net, self.seen = net, []

    def forward(self, x):
        self.seen.append((x.detach().clone(), self.training))
        return self.net(x)


def trained_on(model, batch, objective, options):
    recorder = Recorder(model)
    objective(recorder, *batch, generator=None, **options)
    return recorder.seen[-1][0]


@every_case
class TestEveryObjective:
    def test_common_signature(self, objective, options, norm):
        parameters = list(inspect.signature(objective).parameters.values())
        assert [p.name for p in parameters[:3]] == ["model", "x", "y"]
        assert all(p.kind is p.KEYWORD_ONLY for p in parameters[3:])
        assert "generator" in {p.name for p in parameters}
        assert len(parameters) <= 8

    def test_one_step_is_the_closed_form_in_pixels(self, objective, options, norm, tiny_net, tiny_batch):
        x, y = tiny_batch
        _, g = input_gradient(tiny_net, x, cross_entropy_with(y))
        expected = (x + norm.maximiser(g)).clamp(0, 1)
        assert not torch.equal(expected, x + norm.maximiser(g))  # the clamp has something to do
        loss = objective(tiny_net, x, y, generator=None, **options)
        torch.testing.assert_close(loss.total, cross_entropy(tiny_net(expected), y), rtol=1e-12, atol=0)
        torch.testing.assert_close(trained_on(tiny_net, tiny_batch, objective, options), expected)

    @pytest.mark.parametrize("steps", [1, 3])
    def test_the_attack_is_in_eval_mode_and_costs_its_steps(
        self, objective, options, norm, steps, tiny_net, tiny_batch
    ):
        model = Recorder(tiny_net).train()
        model.net.conv.eval()
        objective(model, *tiny_batch, generator=None, **options, steps=steps)
        assert [training for _, training in model.seen] == [False] * steps + [True]
        assert int(model.net.norm.num_batches_tracked) == 1
        assert not model.net.conv.training
        assert model.net.norm.training

    @pytest.mark.parametrize("steps", [1, 4])
    def test_batch_mates_change_nothing(self, objective, options, norm, steps, tiny_net, tiny_batch):
        x, y = tiny_batch
        options = options | {"steps": steps}
        together, alone = (trained_on(tiny_net, b, objective, options) for b in ((x, y), (x[3:4], y[3:4])))
        torch.testing.assert_close(together[3:4], alone, rtol=0, atol=1e-9)
        assert together.min() >= 0
        assert together.max() <= 1

    def test_iterating_beats_one_step(self, objective, options, norm, tiny_net, tiny_batch):
        """On ℓ(x + δ) - h(δ), averaged; elastic and L1 penalties are finite where the objective went."""
        x, y = tiny_batch

        def value(steps):
            images = trained_on(tiny_net, tiny_batch, objective, options | {"steps": steps})
            return (cross_entropy(tiny_net(images), y, reduction="none") - norm.penalty(images - x)).mean()

        assert value(10) > cross_entropy(tiny_net(x), y)
        assert value(10) >= value(1) * 0.995

    @pytest.mark.parametrize("steps", [1, 7])
    def test_reaches_the_closed_form_optimum_of_a_linear_loss(self, objective, options, norm, steps):
        """Two logits ±⟨w, x⟩/2 with a huge margin against the label: ℓ is linear, and max ℓ - h = ℓ + h*(g)."""
        w = torch.randn(1, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
        if objective is group_norm:  # the table's step is along the whole image's gradient: give all groups one length
            w = w / norm._over_pixels(norm.lengths(w[None]), w[None])[0]
        x, y = torch.full((2, 1, 6, 6), 0.5, dtype=torch.float64), torch.tensor([0, 0])
        w = 0.1 * w  # no pixel gets as far as the clamp

        def model_logits(images):
            margin = (images * w).flatten(1).sum(1) + 60
            return torch.stack([-margin / 2, margin / 2], 1)

        class Linear(nn.Module):
            def forward(self, images):
                return model_logits(images)

        images = trained_on(Linear(), (x, y), objective, options | {"steps": steps})
        loss = cross_entropy(model_logits(images), y, reduction="none") - norm.penalty(images - x)
        expected = cross_entropy(model_logits(x), y, reduction="none") + norm.conjugate(w.expand(2, 1, 6, 6))
        torch.testing.assert_close(loss, expected, rtol=1e-9, atol=1e-9)

    def test_trains(self, objective, options, norm, tiny_net, tiny_batch):
        model = copy.deepcopy(tiny_net).train()
        optimizer, losses = torch.optim.Adam(model.parameters(), 0.02), []
        for _ in range(40):
            loss = objective(model, *tiny_batch, generator=None, **options)
            optimizer.zero_grad()
            loss.total.backward()
            optimizer.step()
            losses.append(float(loss.total.detach()))
        assert losses[-1] < 0.5 * losses[0]
        assert loss.parts["adversarial_cross_entropy"] == loss.total.detach()
        assert not loss.parts["adversarial_cross_entropy"].requires_grad

    def test_the_perturbation_is_a_constant(self, objective, options, norm, tiny_net, tiny_batch):
        x, y = tiny_batch
        constant = trained_on(tiny_net, tiny_batch, objective, options)
        expected = torch.autograd.grad(cross_entropy(tiny_net(constant), y), tiny_net.head.weight)[0]
        total = objective(tiny_net, x, y, generator=None, **options).total
        torch.testing.assert_close(torch.autograd.grad(total, tiny_net.head.weight)[0], expected)

    @pytest.mark.parametrize("steps", [1, 3])
    def test_no_gradient_no_perturbation(self, objective, options, norm, steps, tiny_net, tiny_batch):
        nn.init.zeros_(tiny_net.conv.weight)
        assert torch.equal(trained_on(tiny_net, tiny_batch, objective, options | {"steps": steps}), tiny_batch[0])

    def test_zero_eps_is_natural_training(self, objective, options, norm, tiny_net, tiny_batch):
        nothing = options | {"eps": 0.0} | ({"eps2": 0.0} if "eps2" in options else {})
        for steps in (1, 3):
            loss = objective(tiny_net, *tiny_batch, generator=None, **nothing, steps=steps)
            torch.testing.assert_close(loss.total, natural(tiny_net, *tiny_batch).total)

    def test_bad_input_is_named(self, objective, options, norm, tiny_net, tiny_batch):
        x, y = tiny_batch
        with pytest.raises(BadInput, match="eps must be a finite number ≥ 0; got -0.1"):
            objective(tiny_net, x, y, generator=None, **(options | {"eps": -0.1}))
        with pytest.raises(BadInput, match="steps must be ≥ 1; got 0"):
            objective(tiny_net, x, y, generator=None, **options, steps=0)
        with pytest.raises(BadInput, match=r"pixels must lie in \[0, 1\]"):
            objective(tiny_net, 3 * x, y, generator=None, **options)
        with pytest.raises(BadInput, match="labels must lie in 0 … 2"):
            objective(tiny_net, x, y + 3, generator=None, **options)


def test_iterated_l1_is_pgd_without_a_random_start(tiny_net, tiny_batch):
    x, y = tiny_batch
    expected = pgd(tiny_net, x, y, Linf(0.1), step_size=0.03, steps=7)
    images = trained_on(tiny_net, tiny_batch, l1, {"eps": 0.1, "steps": 7})
    torch.testing.assert_close(images, expected, rtol=0, atol=1e-12)


def test_iterated_group_norm_follows_the_table(tiny_net, tiny_batch):
    x, y = tiny_batch
    delta = torch.zeros_like(x)
    for _ in range(5):
        _, g = input_gradient(tiny_net, x + delta, cross_entropy_with(y))
        blocks = 9  # 6 × 6 in blocks of 2: the closed form has length eps·√9
        delta = delta + 0.3 * 0.2 * blocks**0.5 * g / g.flatten(1).norm(dim=1)[:, None, None, None]
        cells = delta.unfold(2, 2, 2).unfold(3, 2, 2).square().sum((-1, -2)).sqrt()
        delta = delta * (0.2 / cells).clamp(max=1).repeat_interleave(2, 2).repeat_interleave(2, 3)
        delta = (x + delta).clamp(0, 1) - x
    images = trained_on(tiny_net, tiny_batch, group_norm, {"eps": 0.2, "block": 2, "steps": 5})
    torch.testing.assert_close(images, x + delta)


@pytest.mark.parametrize(("size", "block"), [(224, 14), (32, 2), (28, 2), (6, 1)])
def test_the_default_block_is_a_sixteenth_of_the_side(size, block):
    class Mean(nn.Module):
        def forward(self, x):
            return torch.stack([x.mean((1, 2, 3)), -x.mean((1, 2, 3))], 1)

    batch = torch.full((1, 1, size, size), 0.5, dtype=torch.float64), torch.tensor([1])
    images = trained_on(Mean(), batch, group_norm, {"eps": 0.1})
    # A uniform gradient: eps is spread over block² pixels, and cut blocks have fewer.
    assert float((images - 0.5)[0, 0, 0, 0]) == pytest.approx(0.1 / block)


def test_blocks_must_fit(tiny_net, tiny_batch):
    with pytest.raises(BadInput, match="block 7 does not fit"):
        group_norm(tiny_net, *tiny_batch, generator=None, eps=0.1, block=7)
    with pytest.raises(BadInput, match="must be ≥ 1; got 0"):
        group_norm(tiny_net, *tiny_batch, generator=None, eps=0.1, block=0)
    with pytest.raises(BadInput, match="eps2 must be a finite number ≥ 0; got -1"):
        elastic_net(tiny_net, *tiny_batch, generator=None, eps=0.1, eps2=-1)
