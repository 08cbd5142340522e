import copy
import inspect

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from pellucid import objectives
from pellucid.attacks import Linf, pgd
from pellucid.errors import BadInput
from pellucid.objectives import adversarial, adversarial_legacy, natural, trades
from pellucid.objectives.adversarial_legacy import Quirks

REQUIRED = {
    "adversarial": {"eps": 0.1},
    "adversarial_legacy": {"eps": 0.1, "step_size": 0.02, "steps": 3},
    "elastic_net": {"eps": 0.05, "eps2": 0.02},
    "fast_adversarial": {"eps": 0.05},
    "gaussian_noise": {"sigma": 0.1},
    "gaze": {"eps": 0.1, "attention": torch.eye(6, dtype=torch.float64).expand(8, 1, 6, 6)},
    "gaze_legacy": {"eps": 0.3, "attention": torch.eye(6, dtype=torch.float64).expand(8, 1, 6, 6)},
    "group_norm": {"eps": 0.1, "block": 2},
    "group_norm_legacy": {"eps": 0.1, "block": 2},
    "input_gradient_penalty": {"weight": 0.05},
    "l1": {"eps": 0.05},
    "trades": {"eps": 0.05, "beta": 1.0},
}


def draws(seed=0):
    return torch.Generator().manual_seed(seed)


def normalised_net(tiny_net):
    from pellucid.models.normalised import normalised

    return normalised(tiny_net, (0.4,), (0.25,)).double()


@pytest.mark.parametrize("name", objectives.__all__)
class TestEveryObjective:
    def test_has_the_common_signature(self, name):
        parameters = list(inspect.signature(getattr(objectives, name)).parameters.values())
        assert [p.name for p in parameters[:3]] == ["model", "x", "y"]
        assert all(p.kind is p.KEYWORD_ONLY for p in parameters[3:])
        assert "generator" in {p.name for p in parameters}
        assert len(parameters) <= 8

    def test_trains_and_logs(self, name, tiny_net, tiny_batch):
        model = normalised_net(tiny_net).train()
        optimizer = torch.optim.Adam(model.parameters(), 0.02)
        function, losses = getattr(objectives, name), []
        for _ in range(40):
            loss = function(model, *tiny_batch, generator=draws(), **REQUIRED.get(name, {}))
            optimizer.zero_grad()
            loss.total.backward()
            optimizer.step()
            losses.append(float(loss.total.detach()))
        assert losses[-1] < 0.5 * losses[0]
        assert loss.parts
        assert not any(part.requires_grad for part in loss.parts.values())

    def test_is_a_function_of_its_generator(self, name, tiny_net, tiny_batch):
        models, function = [copy.deepcopy(normalised_net(tiny_net)) for _ in range(2)], getattr(objectives, name)
        first, second = (function(m, *tiny_batch, generator=draws(5), **REQUIRED.get(name, {})) for m in models)
        assert torch.equal(first.total, second.total)

    def test_gives_every_module_its_mode_back(self, name, tiny_net, tiny_batch):
        model = normalised_net(tiny_net).train()
        model.network.norm.eval()
        getattr(objectives, name)(model, *tiny_batch, generator=draws(), **REQUIRED.get(name, {}))
        assert model.training
        assert model.network.conv.training
        assert not model.network.norm.training


def test_natural_is_the_cross_entropy(tiny_net, tiny_batch):
    x, y = tiny_batch
    torch.testing.assert_close(natural(tiny_net, x, y).total, cross_entropy(tiny_net(x), y))


def test_adversarial_is_the_cross_entropy_of_the_attacked_images(tiny_net, tiny_batch):
    x, y = tiny_batch
    loss = adversarial(tiny_net, x, y, generator=draws(3), eps=0.1, step_size=0.02, steps=4)
    start = Linf(0.1).sample(x, draws(3))
    attacked = pgd(tiny_net, x, y, Linf(0.1), step_size=0.02, steps=4, start=start)
    torch.testing.assert_close(loss.total, cross_entropy(tiny_net(attacked), y))
    assert loss.total > natural(tiny_net, x, y).total


def test_the_attack_leaves_batchnorm_statistics_to_the_training_forward(tiny_net, tiny_batch):
    model = tiny_net.train()
    adversarial(model, *tiny_batch, generator=draws(), eps=0.1, steps=5)
    assert int(model.norm.num_batches_tracked) == 1
    adversarial_legacy(model, *tiny_batch, generator=draws(), eps=0.1, step_size=0.02, steps=5)
    # Legacy: one forward for the predicted labels, five in the attack, one to train on (D-T11).
    assert int(model.norm.num_batches_tracked) == 1 + 7


def test_zero_eps_is_natural_training(tiny_net, tiny_batch):
    x, y = tiny_batch
    loss = adversarial(tiny_net, x, y, generator=draws(), eps=0.0, steps=2)
    torch.testing.assert_close(loss.total, natural(tiny_net, x, y).total)
    with pytest.raises(BadInput, match="must be ≥ 0"):
        adversarial(tiny_net, x, y, generator=draws(), eps=-0.1)


class Recorder(nn.Module):
    """Remembers what it was shown."""

    def __init__(self, net):
        super().__init__()
        self.net, self.seen = net, []

    def forward(self, x):
        self.seen.append(x.detach().clone())
        return self.net(x)


def legacy_images(model, batch, quirks, eps=0.1, seed=0):
    """The images that the parameter update sees."""
    recorder = Recorder(model)
    adversarial_legacy(recorder, *batch, generator=draws(seed), eps=eps, step_size=0.03, steps=4, quirks=quirks)
    return recorder.seen[-1]


@pytest.mark.parametrize("objective", [adversarial, trades])
@pytest.mark.parametrize(
    ("options", "message"),
    [({"steps": 0}, "at least 1 step"), ({"step_size": -0.1}, "finite number > 0"), ({"step_size": 0.0}, "finite")],
)
def test_an_attack_without_a_step_is_refused(tiny_net, tiny_batch, objective, options, message):
    with pytest.raises(BadInput, match=message):
        objective(tiny_net, *tiny_batch, generator=draws(), eps=0.1, **options)


def test_legacy_moves_away_from_the_prediction_not_from_the_label(tiny_net, tiny_batch):
    x, _ = tiny_batch
    predicted = tiny_net(x).argmax(1)
    wrong = (predicted + 1) % 3
    same = legacy_images(tiny_net, (x, wrong), Quirks(label="predicted", mode="eval"))
    assert torch.equal(same, legacy_images(tiny_net, (x, predicted), Quirks(label="true", mode="eval")))
    assert not torch.equal(same, legacy_images(tiny_net, (x, wrong), Quirks(label="true", mode="eval")))


def test_legacy_leaves_the_pixel_range_unless_clamped(tiny_net, tiny_batch):
    free = legacy_images(tiny_net, tiny_batch, Quirks(mode="eval"))
    assert free.min() < 0 or free.max() > 1
    assert (free - tiny_batch[0]).abs().max() <= 0.1 + 1e-12
    clamped = legacy_images(tiny_net, tiny_batch, Quirks(mode="eval", clamp=(0.0, 1.0)))
    assert clamped.min() >= 0
    assert clamped.max() <= 1


def test_legacy_eps_counts_in_normalised_units(tiny_net, tiny_batch):
    model = normalised_net(tiny_net)
    recorder = Recorder(model)
    recorder.normalise, recorder.network = model.normalise, model.network
    quirks = Quirks(space="normalised", mode="eval")
    adversarial_legacy(recorder, *tiny_batch, generator=draws(), eps=0.1, step_size=0.03, steps=4, quirks=quirks)
    assert (recorder.seen[-1] - tiny_batch[0]).abs().max() == pytest.approx(0.1 * 0.25)


def test_the_imagenette_clamp_destroys_the_image(tiny_net, tiny_batch):
    model = normalised_net(tiny_net)
    recorder = Recorder(model)
    recorder.normalise, recorder.network = model.normalise, model.network
    quirks = Quirks(label="true", space="normalised", mode="eval", clamp=(0.0, 1.0))
    adversarial_legacy(recorder, *tiny_batch, generator=draws(), eps=0.01, step_size=0.02, steps=4, quirks=quirks)
    normalised_again = (recorder.seen[-1] - 0.4) / 0.25
    assert normalised_again.min() >= -1e-6
    assert normalised_again.max() <= 1 + 1e-6
    assert (recorder.seen[-1] - tiny_batch[0]).abs().max() > 10 * 0.01


def test_normalised_space_needs_a_normalisation_layer(tiny_net, tiny_batch):
    with pytest.raises(BadInput, match="needs a model made by"):
        legacy_images(tiny_net, tiny_batch, Quirks(space="normalised"))


def test_legacy_attacks_its_share_of_the_batches(tiny_net, tiny_batch):
    attacked = sum(
        not torch.equal(legacy_images(tiny_net, tiny_batch, Quirks(mode="eval", share=0.5), seed=seed), tiny_batch[0])
        for seed in range(60)
    )
    assert 18 <= attacked <= 42


@pytest.mark.parametrize("objective", [natural, lambda *a, **k: adversarial(*a, generator=draws(), eps=0.1, **k)])
def test_impossible_pixels_and_labels_are_named(tiny_net, tiny_batch, objective):
    x, y = tiny_batch
    with pytest.raises(BadInput, match=r"pixels must lie in \[0, 1\]; saw values from -2.* to .*Normalisation belongs"):
        objective(tiny_net, 4 * x - 2.5, y)
    with pytest.raises(BadInput, match="saw values from nan"):
        objective(tiny_net, x / x.new_zeros(()).log().exp() * 0, y)
    with pytest.raises(BadInput, match="labels must lie in 0 … 2; saw 5 to 5"):
        objective(tiny_net, x, torch.full_like(y, 5))
    with pytest.raises(BadInput, match="labels must lie in 0 … 2; saw -1"):
        objective(tiny_net, x, y - 1)
    with pytest.raises(BadInput, match="8 images came with 3 labels"):
        objective(tiny_net, x, y[:3])
    with pytest.raises(BadInput, match="must be floating point"):
        objective(tiny_net, (255 * x).to(torch.uint8), y)
