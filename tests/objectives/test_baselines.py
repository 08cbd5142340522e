import copy
import inspect

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from pellucid.attacks import Linf, pgd
from pellucid.errors import BadInput
from pellucid.objectives.fast_adversarial import fast_adversarial, overfitting_alarm
from pellucid.objectives.gaussian_noise import gaussian_noise
from pellucid.objectives.input_gradient_penalty import input_gradient_penalty
from pellucid.objectives.natural import natural
from pellucid.objectives.trades import trades

OPTIONS = {
    input_gradient_penalty: {"weight": 0.7},
    gaussian_noise: {"sigma": 0.2},
    fast_adversarial: {"eps": 0.1},
    trades: {"eps": 0.1, "beta": 3.0},
}
each = pytest.mark.parametrize("objective", OPTIONS, ids=lambda objective: objective.__name__)
exactly = {"rtol": 1e-10, "atol": 1e-10}


def draws(seed=0):
    return torch.Generator().manual_seed(seed)


def run(objective, model, batch, *, seed=0, **options):
    return objective(model, *batch, generator=draws(seed), **{**OPTIONS[objective], **options})


class Recorder(nn.Module):
    """Remembers what it was shown, and in which mode."""

    def __init__(self, net):
        super().__init__()
        self.net, self.seen, self.modes = net, [], []

    def forward(self, x):
        self.seen.append(x.detach().clone())
        self.modes.append(self.net.training)
        return self.net(x)


def softmax(logits):
    shifted = (logits - logits.max(1, keepdim=True).values).exp()
    return shifted / shifted.sum(1, keepdim=True)


def slope(function, x, step=1e-6):
    """Central differences of function(x) [B] with respect to every entry of its own image."""
    gradient = torch.empty_like(x)
    for entry in range(x[0].numel()):
        shift = torch.zeros_like(x).flatten(1)
        shift[:, entry] = step
        shift = shift.view_as(x)
        gradient.flatten(1)[:, entry] = (function(x + shift) - function(x - shift)) / (2 * step)
    return gradient


def by_hand(objective, model, x, y, seed):
    """The total, written out for TinyNet in eval mode without the package's attacks and gradients."""
    one_hot = torch.eye(3, dtype=x.dtype)[y]

    def loss_of(images):
        return -(softmax(model(images)) * one_hot).sum(1).log()

    with torch.no_grad():
        if (
            objective is input_gradient_penalty
        ):  # the chain rule by hand, through a linear head, tanh, norm and convolution
            norm, head = model.norm, model.head
            scale = norm.weight / (norm.running_var + norm.eps).sqrt()
            before = (model.conv(x) - norm.running_mean[:, None, None]) * scale[:, None, None] + norm.bias[
                :, None, None
            ]
            back = ((softmax(model(x)) - one_hot) @ head.weight).view_as(before) * (1 - before.tanh().square())
            back = back * scale[:, None, None]
            gradient = nn.functional.conv_transpose2d(back, model.conv.weight, padding=1)
            return loss_of(x).mean() + 0.7 * (gradient**2).sum((1, 2, 3)).mean()
        if objective is gaussian_noise:
            return loss_of((x + 0.2 * torch.randn(x.shape, generator=draws(seed)).double()).clamp(0, 1)).mean()
        if objective is fast_adversarial:
            uniform = (2 * torch.rand(x.shape, generator=draws(seed)) - 1).mul(0.1).double()
            start = (x + uniform).clamp(0, 1)
            moved = start + 0.125 * slope(loss_of, start).sign()
            return loss_of(torch.minimum(torch.maximum(moved, x - 0.1), x + 0.1).clamp(0, 1)).mean()
        p = softmax(model(x))

        def divergence(images):
            return (p * (p.log() - softmax(model(images)).log())).sum(1)

        moved = (x + 0.001 * torch.randn(x.shape, generator=draws(seed)).double()).clamp(0, 1)
        for _ in range(7):
            moved = moved + 0.25 / 7 * slope(divergence, moved).sign()
            moved = torch.minimum(torch.maximum(moved, x - 0.1), x + 0.1).clamp(0, 1)
        return loss_of(x).mean() + 3.0 * divergence(moved).mean()


@each
def test_is_the_formula_written_by_hand(objective, tiny_net, tiny_batch):
    loss = run(objective, tiny_net, tiny_batch, seed=4)
    torch.testing.assert_close(loss.total.detach(), by_hand(objective, tiny_net, *tiny_batch, 4), **exactly)


@each
def test_has_the_common_signature(objective):
    parameters = list(inspect.signature(objective).parameters.values())
    assert [p.name for p in parameters[:3]] == ["model", "x", "y"]
    assert all(p.kind is p.KEYWORD_ONLY for p in parameters[3:])
    assert len(parameters) <= 8


@each
@pytest.mark.parametrize("training", [False, True])
def test_its_gradient_is_that_of_its_value(objective, training, tiny_net, tiny_batch):
    """Holds where the attacked image is a constant: signs are locally so, and the clean p(x) of the attack as well."""
    model = tiny_net.train(training)
    fresh = copy.deepcopy(model.state_dict())

    def value():
        with torch.no_grad():  # a train-mode forward moves the statistics that the eval-mode part sees
            for name, buffer in model.named_buffers():
                buffer.copy_(fresh[name])
        return run(objective, model, tiny_batch).total

    value().backward()
    for weight, place in [(model.head.weight, (1, 20)), (model.conv.weight, (2, 0, 1, 1))]:
        if training and objective is input_gradient_penalty and weight is model.conv.weight:
            continue  # the running statistics follow the weight too, and are constants to autograd
        original, step, values = weight[place].item(), 1e-5, []
        for shifted in (original + step, original - step):
            with torch.no_grad():
                weight[place] = shifted
            values.append(value().item())
        with torch.no_grad():
            weight[place] = original
        assert weight.grad[place].item() == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-5, abs=1e-8)


@pytest.mark.parametrize(
    ("objective", "options"),
    [
        (input_gradient_penalty, {"weight": 0.0}),
        (gaussian_noise, {"sigma": 0.0}),
        (fast_adversarial, {"eps": 0.0}),
        (trades, {"eps": 0.0}),
        (trades, {"beta": 0.0}),
    ],
)
def test_at_zero_it_is_natural_training(objective, options, tiny_net, tiny_batch):
    ours, theirs = run(objective, tiny_net, tiny_batch, **options).total, natural(tiny_net, *tiny_batch).total
    torch.testing.assert_close(ours, theirs, **exactly)


@pytest.mark.parametrize("objective", [fast_adversarial, trades])
@pytest.mark.parametrize("eps", [0.0004, 0.1, 0.7])
def test_attacked_images_stay_in_the_ball_and_in_range(objective, eps, tiny_net, tiny_batch):
    x, y = tiny_batch
    recorder = Recorder(tiny_net)
    run(objective, recorder, (x, y), eps=eps)
    attacked = recorder.seen[-1][-len(x) :]
    assert (attacked - x).abs().max() <= eps + 1e-12
    assert (attacked - x).abs().max() >= 0.9 * eps
    assert all(seen.min() >= 0 and seen.max() <= 1 for seen in recorder.seen)


def test_noisy_images_are_clamped_noise(tiny_net, tiny_batch):
    recorder, x = Recorder(tiny_net), torch.full((200, 1, 6, 6), 0.5, dtype=torch.float64)
    run(gaussian_noise, recorder, (x, torch.zeros(200, dtype=torch.int64)), sigma=0.1)
    (seen,) = recorder.seen
    assert (seen - x).std().item() == pytest.approx(0.1, rel=0.03)
    run(gaussian_noise, recorder, tiny_batch, sigma=3.0)
    assert recorder.seen[-1].min() == 0
    assert recorder.seen[-1].max() == 1


@each
def test_batchnorm_counts_one_training_forward(objective, tiny_net, tiny_batch):
    model = tiny_net.train()
    expected = copy.deepcopy(model)
    recorder = Recorder(model)
    run(objective, recorder, tiny_batch)
    assert int(model.norm.num_batches_tracked) == 1
    assert recorder.modes.count(True) == 1
    # TRADES shows clean and attacked images together; the statistics are those of what the training forward saw.
    expected(recorder.seen[recorder.modes.index(True)])
    torch.testing.assert_close(model.norm.running_mean, expected.norm.running_mean, **exactly)


def test_trades_trains_on_clean_and_attacked_images_at_once(tiny_net, tiny_batch):
    recorder = Recorder(tiny_net.train())
    loss = run(trades, recorder, tiny_batch)
    assert torch.equal(recorder.seen[-1][:8], tiny_batch[0])
    clean = tiny_net(recorder.seen[-1])[:8]
    torch.testing.assert_close(loss.parts["cross_entropy"], cross_entropy(clean, tiny_batch[1]).detach(), **exactly)


@each
def test_gives_every_module_its_mode_back(objective, tiny_net, tiny_batch):
    model = tiny_net.train()
    model.norm.eval()
    run(objective, model, tiny_batch)
    assert model.training
    assert model.conv.training
    assert not model.norm.training


@pytest.mark.parametrize("objective", [gaussian_noise, fast_adversarial, trades])
def test_is_a_function_of_its_generator(objective, tiny_net, tiny_batch):
    with torch.random.fork_rng():
        totals = []
        for seed in (5, 5, 6):
            torch.manual_seed(len(totals))  # the global seed counts for nothing
            totals.append(run(objective, tiny_net, tiny_batch, seed=seed).total)
    first, again, other = totals
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@each
def test_leaves_gradients_and_images_alone(objective, tiny_net, tiny_batch):
    x, y = tiny_batch
    before = x.clone()
    loss = run(objective, tiny_net, (x, y))
    assert all(p.grad is None for p in tiny_net.parameters())
    assert torch.equal(x, before)
    assert not x.requires_grad
    assert not any(part.requires_grad for part in loss.parts.values())


@each
def test_trains(objective, tiny_net, tiny_batch):
    model, losses = tiny_net.train(), []
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    for _ in range(40):
        loss = run(objective, model, tiny_batch)
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
        losses.append(loss.total.item())
    assert losses[-1] < 0.5 * losses[0]


def test_the_penalty_of_an_image_ignores_its_batch_mates(tiny_net, tiny_batch):
    x, y = tiny_batch
    model = tiny_net.train()
    model.norm.momentum = 0.0  # so that all calls see the same statistics
    whole = run(input_gradient_penalty, model, (x, y)).parts["penalty"]
    single = [run(input_gradient_penalty, model, (x[i : i + 1], y[i : i + 1])).parts["penalty"] for i in range(len(x))]
    torch.testing.assert_close(whole, torch.stack(single).mean(), **exactly)


def test_a_step_against_the_penalty_lowers_it(tiny_net, tiny_batch):
    optimizer, penalties = torch.optim.SGD(tiny_net.parameters(), 1e-4), []
    for _ in range(2):
        loss = run(input_gradient_penalty, tiny_net, tiny_batch, weight=100.0)
        loss.total.backward()
        optimizer.step()
        penalties.append(loss.parts["penalty"])
    assert penalties[1] < 0.99 * penalties[0]


def test_fast_adversarial_is_one_step_of_pgd(tiny_net, tiny_batch):
    x, y = tiny_batch
    recorder = Recorder(tiny_net)
    loss = run(fast_adversarial, recorder, (x, y), seed=2, eps=0.3, step_size=0.2)
    start = Linf(0.3).sample(x, draws(2))
    attacked = pgd(tiny_net, x, y, Linf(0.3), step_size=0.2, steps=1, start=start)
    assert torch.equal(recorder.seen[-1], attacked)
    assert len(recorder.seen) == 2  # the parts cost no pass
    wrong = [(tiny_net(images).argmax(1) != y).double().mean() for images in (attacked, (x + start).clamp(0, 1))]
    torch.testing.assert_close(torch.stack([loss.parts["fooled"], loss.parts["wrong_at_start"]]), torch.stack(wrong))
    assert loss.parts["fooled"] != loss.parts["wrong_at_start"]


def test_trades_has_the_documented_defaults():
    options = inspect.signature(trades).parameters
    assert (options["beta"].default, options["steps"].default) == (6.0, 7)


def test_trades_attack_raises_the_divergence_and_counts_its_passes(tiny_net, tiny_batch):
    recorder = Recorder(tiny_net)
    attacked = run(trades, recorder, tiny_batch, steps=4).parts["divergence"]
    assert len(recorder.seen) == 1 + 4 + 1
    idle = run(trades, tiny_net, tiny_batch, steps=1, step_size=1e-9).parts["divergence"]
    assert attacked > 100 * idle
    changed = (tiny_batch[0], (tiny_batch[1] + 1) % 3)
    assert torch.equal(attacked, run(trades, tiny_net, changed, steps=4).parts["divergence"])


@pytest.mark.parametrize(
    ("objective", "options", "message"),
    [
        (input_gradient_penalty, {"weight": -1.0}, "weight of the input-gradient penalty must be ≥ 0.*got -1.0"),
        (input_gradient_penalty, {"weight": float("nan")}, "got nan"),
        (gaussian_noise, {"sigma": -0.1}, "sigma .* must be ≥ 0; got -0.1"),
        (gaussian_noise, {"sigma": float("inf")}, "got inf"),
        (fast_adversarial, {"eps": -0.1}, "eps .* must be ≥ 0; got -0.1"),
        (trades, {"eps": -0.1}, "eps .* must be ≥ 0; got -0.1"),
        (trades, {"beta": -6.0}, "beta .* must be ≥ 0 and finite; got -6.0"),
    ],
)
def test_impossible_hyperparameters_are_named(objective, options, message, tiny_net, tiny_batch):
    with pytest.raises(BadInput, match=message):
        run(objective, tiny_net, tiny_batch, **options)


@each
def test_impossible_images_and_labels_are_named(objective, tiny_net, tiny_batch):
    x, y = tiny_batch
    with pytest.raises(BadInput, match=r"pixels must lie in \[0, 1\]"):
        run(objective, tiny_net, (3 * x - 1, y))
    with pytest.raises(BadInput, match="labels must lie in 0 … 2; saw 7 to 7"):
        run(objective, tiny_net, (x, torch.full_like(y, 7)))
    with pytest.raises(BadInput, match="8 images came with 3 labels"):
        run(objective, tiny_net, (x, y[:3]))


def history(*rows):
    return [
        {"epoch": i + 1, "clean_accuracy": 0.8, "robust_accuracy": robust, "parts": {"fooled": fooled}}
        for i, (robust, fooled) in enumerate(rows)
    ]


def test_the_alarm_names_the_epoch_of_the_collapse():
    message = overfitting_alarm(history((0.3, 0.6), (0.45, 0.5), (0.02, 0.1), (0.0, 0.05)))
    assert "epoch 3: PGD accuracy fell from 0.450 (epoch 2) to 0.020" in message
    assert "0.100 of the training images (before: 0.500)" in message


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [(0.3, 0.6), (0.45, 0.5), (0.44, 0.4), (0.35, 0.3)],  # ordinary robust overfitting
        [(0.6, 0.5), (0.4, 0.4)],  # a large fall, but not to less than half
        [(0.3, 0.6), (0.45, 0.5), (0.05, 0.9)],  # diverged: the one step fools it as well
        [(0.08, 0.9), (0.01, 0.8), (0.2, 0.7)],  # chance in the first epochs
        [(None, 0.5), (None, 0.1)],  # not measured
    ],
)
def test_the_alarm_keeps_silent_without_a_collapse_or_a_measurement(rows):
    assert overfitting_alarm(history(*rows)) is None


def test_the_alarm_passes_over_rows_that_cannot_show_it():
    rows = history((0.45, 0.5), (0.02, 0.1))
    assert overfitting_alarm([rows[0], {"epoch": 9, "robust_accuracy": 0.0, "parts": {}}]) is None
    assert "epoch 2" in overfitting_alarm([rows[0], {**rows[1], "robust_accuracy": None, "epoch": 7}, rows[1]])
