import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from pellucid import models
from pellucid.errors import BadInput
from pellucid.gradients import gradient_of, input_gradient, logit_of
from pellucid.models.smoothing import insert_smoothing
from pellucid.models.softplus_twin import softplus_twin

BUILDERS = {
    "lenet": dict(image_size=16),
    "small_cnn": dict(image_size=8),
    "wide_resnet": dict(image_size=8, depth=10, width=1),
    "resnet18": dict(image_size=8),
    "vgg16_bn": dict(image_size=32),
}


def build(name):
    """A network in eval mode with a pixel batch, in float64; BatchNorm statistics are not the initial ones."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = getattr(models, name)(channels=3, classes=4, **BUILDERS[name]).double()
        x = torch.rand(2, 3, *[BUILDERS[name]["image_size"]] * 2, dtype=torch.float64)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(std=0.1)
                module.running_var.uniform_(0.5, 2)
    return network.eval(), x


def with_softplus_modules(network, beta):
    """The twin by hand: a copy in which every nn.ReLU is an nn.Softplus."""
    twin = copy.deepcopy(network)
    for parent in list(twin.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.ReLU):
                parent.register_module(name, nn.Softplus(beta))
    return twin


@pytest.mark.parametrize("name", BUILDERS)
@pytest.mark.parametrize("beta", [1.0, 7.0])
def test_equals_a_copy_with_softplus_modules(name, beta):
    network, x = build(name)
    twin, by_hand = softplus_twin(network, beta=beta), with_softplus_modules(network, beta)
    y = torch.tensor([1, 3])
    for ours, expected in zip(*(input_gradient(net, x, logit_of(y)) for net in (twin, by_hand)), strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-14)
    assert twin.replaced > 0
    assert not torch.allclose(twin(x), network(x), rtol=1e-3)


@pytest.mark.parametrize("name", BUILDERS)
def test_tends_to_the_model_as_beta_grows(name):
    network, x = build(name)
    y = torch.tensor([1, 3])
    logits, gradient = input_gradient(network, x, logit_of(y))
    sharp_logits, sharp_gradient = input_gradient(softplus_twin(network, beta=1e9), x, logit_of(y))
    torch.testing.assert_close(sharp_logits, logits, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(sharp_gradient, gradient, rtol=1e-4, atol=1e-5 * gradient.abs().max())


@pytest.mark.parametrize("beta", [0.5, 1.0, 20.0])
def test_its_largest_distance_from_relu_is_log_2_over_beta(beta):
    t = torch.linspace(-3, 3, 601, dtype=torch.float64)[:, None]
    distance = softplus_twin(nn.ReLU(), beta=beta)(t) - t.clamp_min(0)
    assert (distance >= 0).all()
    assert distance.max().item() == pytest.approx(torch.tensor(2.0, dtype=torch.float64).log().item() / beta)


def test_shares_every_tensor_and_leaves_the_model_as_it_was():
    network, x = build("wide_resnet")
    network.block2.train()  # as a user may have it, who freezes the statistics of the others
    modes, kinds = ([get(module) for module in network.modules()] for get in (lambda m: m.training, type))
    twin = softplus_twin(network)
    assert [module.training for module in network.modules()] == modes
    assert [type(module) for module in network.modules()] == kinds
    network.eval()
    before = network(x)
    twin(x)
    assert torch.equal(network(x), before)
    for ours, theirs in ((twin.parameters(), network.parameters()), (twin.buffers(), network.buffers())):
        assert all(one is other for one, other in zip(ours, theirs, strict=True))


def test_follows_later_changes_of_the_weights():
    network, x = build("lenet")
    twin = softplus_twin(network)
    before = twin(x)
    with torch.no_grad():
        network.fc3.bias += 1
    torch.testing.assert_close(twin(x), before + 1)


@pytest.mark.parametrize("name", ["lenet", "resnet18"])
def test_has_second_derivatives_where_the_model_has_none(name):
    network, x = build(name)

    def curvature(net):
        leaf = x.clone().requires_grad_(True)
        _, gradient = input_gradient(net, leaf, logit_of(torch.tensor([0, 2])), create_graph=True)
        return gradient_of(gradient.square().flatten(1).sum(1), leaf)

    assert (curvature(network) == 0).all()
    smooth = curvature(softplus_twin(network))
    assert smooth.isfinite().all()
    assert (smooth.flatten(1).abs().amax(1) > 0).all()


SPELLINGS = {
    "module": nn.ReLU(),
    "module in place": nn.ReLU(inplace=True),
    "function": functional.relu,
    "function in place": lambda t: functional.relu(t, inplace=True),
    "torch.relu": torch.relu,
    "torch.relu_": torch.relu_,
    "method": torch.Tensor.relu,
    "method in place": torch.Tensor.relu_,
}


class Spelt(nn.Module):
    def __init__(self, activation):
        super().__init__()
        self.linear, self.activation = nn.Linear(3, 4), activation

    def forward(self, x):
        return self.activation(self.linear(x))


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_replaces_every_spelling_of_relu(spelling):
    model = Spelt(SPELLINGS[spelling]).double()
    x = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    twin = softplus_twin(model, beta=2.0)
    torch.testing.assert_close(twin(x), functional.softplus(model.linear(x), 2.0))
    assert twin.replaced == 1
    model.zero_grad()
    twin(x).sum().backward()
    expected = torch.sigmoid(2 * model.linear(x)).sum(0)
    torch.testing.assert_close(model.linear.bias.grad, expected)


def seeded(activation):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Spelt(activation).double().eval()


def leaky(t, slope, beta):
    return slope * t + (1 - slope) * functional.softplus(t, beta)


def ramp(t, low, high, beta):
    return low + functional.softplus(t - low, beta) - functional.softplus(t - high, beta)


def relu6(t, beta):
    return ramp(t, 0, 6, beta)


def hard_sigmoid(t, beta):
    return ramp(t + 3, 0, 6, beta) / 6


def learned(slopes):
    module = nn.PReLU(len(slopes))
    module.weight.data = torch.tensor(slopes)
    return module


SLOPES = torch.tensor([0.1, 0.2, 0.3, -0.4], dtype=torch.float64)
MEAN = (1 / 8 + 1 / 3) / 2
OTHERS = {
    "ReLU6": (nn.ReLU6(), relu6),
    "ReLU6 in place": (nn.ReLU6(inplace=True), relu6),
    "relu6": (functional.relu6, relu6),
    "relu6 in place": (lambda t: functional.relu6(t, inplace=True), relu6),
    "Hardtanh": (nn.Hardtanh(), lambda t, beta: ramp(t, -1, 1, beta)),
    "Hardtanh in place": (nn.Hardtanh(0, 6, inplace=True), relu6),
    "hardtanh": (lambda t: functional.hardtanh(t, -2, 0.5), lambda t, beta: ramp(t, -2, 0.5, beta)),
    "hardtanh_": (lambda t: functional.hardtanh_(t, min_val=-0.5), lambda t, beta: ramp(t, -0.5, 1, beta)),
    "LeakyReLU": (nn.LeakyReLU(), lambda t, beta: leaky(t, 0.01, beta)),
    "LeakyReLU in place": (nn.LeakyReLU(0.3, inplace=True), lambda t, beta: leaky(t, 0.3, beta)),
    "leaky_relu": (functional.leaky_relu, lambda t, beta: leaky(t, 0.01, beta)),
    "leaky_relu_": (lambda t: functional.leaky_relu_(t, 0.2), lambda t, beta: leaky(t, 0.2, beta)),
    "PReLU": (nn.PReLU(), lambda t, beta: leaky(t, 0.25, beta)),
    "PReLU of channels": (learned([0.1, 0.2, 0.3, -0.4]), lambda t, beta: leaky(t, SLOPES.float(), beta)),
    "torch.prelu": (lambda t: torch.prelu(t, SLOPES), lambda t, beta: leaky(t, SLOPES, beta)),
    "prelu": (lambda t: functional.prelu(t, weight=SLOPES), lambda t, beta: leaky(t, SLOPES, beta)),
    "method prelu": (lambda t: t.prelu(SLOPES), lambda t, beta: leaky(t, SLOPES, beta)),
    "RReLU": (nn.RReLU(), lambda t, beta: leaky(t, MEAN, beta)),
    "RReLU in place": (nn.RReLU(0.1, 0.5, inplace=True), lambda t, beta: leaky(t, 0.3, beta)),
    "rrelu": (lambda t: functional.rrelu(t, 0.2, 0.4), lambda t, beta: leaky(t, 0.3, beta)),
    "torch.rrelu": (torch.rrelu, lambda t, beta: leaky(t, MEAN, beta)),
    "torch.rrelu_": (lambda t: torch.rrelu_(t, 0.2, 0.4), lambda t, beta: leaky(t, 0.3, beta)),
    "Hardsigmoid": (nn.Hardsigmoid(), hard_sigmoid),
    "Hardsigmoid in place": (nn.Hardsigmoid(inplace=True), hard_sigmoid),
    "hardsigmoid": (functional.hardsigmoid, hard_sigmoid),
    "Hardswish": (nn.Hardswish(), lambda t, beta: t * hard_sigmoid(t, beta)),
    "Hardswish in place": (nn.Hardswish(inplace=True), lambda t, beta: t * hard_sigmoid(t, beta)),
    "hardswish": (functional.hardswish, lambda t, beta: t * hard_sigmoid(t, beta)),
}
every_other = pytest.mark.parametrize("name", OTHERS)


@every_other
@pytest.mark.parametrize("beta", [1.0, 3.0])
def test_other_kinks_have_their_closed_forms(name, beta):
    activation, form = OTHERS[name]
    model = seeded(activation)
    x = 8 * torch.randn(20, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    t = model.linear(x)
    twin = softplus_twin(model, beta=beta)
    torch.testing.assert_close(twin(x), form(t, beta), check_dtype=False, rtol=1e-6, atol=1e-9)
    assert twin.replaced == 1
    torch.testing.assert_close(softplus_twin(model, beta=1e9)(x), model(x), rtol=1e-6, atol=1e-7)


@every_other
def test_other_kinks_get_second_derivatives(name):
    model = seeded(OTHERS[name][0])
    x = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    (slope,) = torch.autograd.grad(softplus_twin(model)(x).sum(), x, create_graph=True)
    (bend,) = torch.autograd.grad(slope.square().sum(), x)
    assert bend.isfinite().all()
    assert (bend.abs().amax(1) > 1e-6).all()


def test_learned_slopes_are_those_of_the_channels_of_maps_and_learn():
    module = learned([0.1, 0.2, 0.3, -0.4])
    t = torch.randn(2, 4, 3, 5, generator=torch.Generator().manual_seed(0))
    found = softplus_twin(module)(t)
    for channel, slope in enumerate(module.weight.tolist()):
        torch.testing.assert_close(found[:, channel], leaky(t[:, channel], slope, 1.0))
    found.sum().backward()
    expected = (t - functional.softplus(t)).sum((0, 2, 3))
    torch.testing.assert_close(module.weight.grad, expected)


def test_random_slopes_are_drawn_entry_by_entry_in_training():
    t = torch.full((4000,), -30.0)  # the Softplus of which is 0
    slopes = softplus_twin(nn.RReLU(0.2, 0.4).train())(t) / t
    assert slopes.min() < 0.205
    assert slopes.max() > 0.395
    assert ((slopes >= 0.2) & (slopes <= 0.4)).all()


@pytest.mark.parametrize("name", [name for name in OTHERS if "in place" in name or name.endswith("_")])
def test_other_kinks_in_place_stay_in_place(name):
    activation, form = OTHERS[name]
    t = torch.randn(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    module = nn.Module()
    module.forward = lambda kept: activation(kept) + 10 * kept
    activation.eval() if isinstance(activation, nn.Module) else None
    torch.testing.assert_close(softplus_twin(module)(t.clone()), 11 * form(t, 1.0))


@pytest.mark.parametrize("spelling", ["module in place", "function in place", "torch.relu_", "method in place"])
def test_in_place_stays_in_place(spelling):
    class Residual(nn.Module):
        """Adds what the activation left in its argument, as some pre-activation networks do."""

        def forward(self, x):
            kept = x + 0
            return SPELLINGS[spelling](kept) + 10 * kept

    x = torch.tensor([-1.0, 2.0], requires_grad=True)
    torch.testing.assert_close(softplus_twin(Residual())(x), 11 * functional.softplus(x))


def test_counts_no_replacement_in_a_smooth_model(tiny_net, tiny_batch):
    twin = softplus_twin(tiny_net)
    assert torch.equal(twin(tiny_batch[0]), tiny_net(tiny_batch[0]))
    assert twin.replaced == 0


def test_works_with_a_smooth_block():
    network, x = build("lenet")
    smoothed = insert_smoothing(network, after="pool1", filter="gaussian", example=x, seed=0)
    twin = softplus_twin(smoothed)
    torch.testing.assert_close(twin(x), with_softplus_modules(smoothed, 1.0)(x))
    assert twin.replaced == 4


def test_relu_is_relu_again_afterwards_even_if_the_model_fails():
    class Failing(nn.Module):
        def forward(self, x):
            raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        softplus_twin(Failing())(torch.zeros(1))
    assert functional.relu(torch.tensor(-1.0)) == 0


@pytest.mark.parametrize("beta", [0.0, -1.0, float("inf"), float("nan")])
def test_refuses_a_beta_that_is_no_sharpness(beta):
    with pytest.raises(BadInput, match=f"positive finite number; got {beta}"):
        softplus_twin(nn.ReLU(), beta=beta)
