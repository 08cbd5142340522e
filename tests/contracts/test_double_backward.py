"""Objectives that train on an input gradient work on every kind of network, in mixed precision, on two processes."""

import os
import subprocess
import sys
from copy import deepcopy
from functools import partial

import pytest
import torch
import two_processes_double_backward as script
from safetensors.torch import load_file
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from pellucid import regularisers
from pellucid.gradients import input_gradient, logit_of
from pellucid.models import resnet18, vit, wide_resnet
from pellucid.modes import differentiable_attention
from pellucid.objectives import input_gradient_penalty, natural
from pellucid.randomness import generator
from pellucid.regularisers.composition import regularised
from pellucid.training.fit import fit
from pellucid.training.settings import TrainingSettings
from pellucid.training.step import Batches

SHAPE = {"channels": 3, "classes": 4, "image_size": 8}
NETWORKS = {
    "resnet18": partial(resnet18, **SHAPE),
    "wide_resnet": partial(wide_resnet, **SHAPE, depth=10, width=1),
    "vit": partial(vit, **SHAPE, patch=4, width=16, depth=2, heads=2),
}
OBJECTIVES = {"input_gradient_penalty": partial(input_gradient_penalty, weight=3.0)} | {
    name: regularised(natural, {name: (3.0, getattr(regularisers, name))})
    for name in regularisers.__all__
    if name != "spectral_norm"  # of the weights alone: no input gradient, no double backward
}


def build(name, dtype=torch.float64):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return NETWORKS[name]().to(dtype)


def batch(count=4, size=8):
    draws = torch.Generator().manual_seed(1)
    x = torch.rand(count, 3, size, size, generator=draws, dtype=torch.float64)
    return x, torch.arange(count) % 4


def loss_of(objective, model, x, y):
    return objective(model, x, y, generator=torch.Generator().manual_seed(2)).total


def smooth(model):
    """The same network with GELU for ReLU: at a kink the gradient field jumps, which only differences can see."""
    for module in list(model.modules()):
        for key, child in module.named_children():
            if isinstance(child, nn.ReLU):
                setattr(module, key, nn.GELU())
    return model


@pytest.mark.parametrize(
    "objective", sorted(set(OBJECTIVES) - {"neighbour_misalignment"})
)  # its consensus is held constant
@pytest.mark.parametrize("name", NETWORKS)
def test_the_gradient_of_the_loss_is_its_derivative(name, objective):
    """Along the gradient itself, against central differences of the whole loss."""
    model, (x, y), objective = smooth(build(name)).eval(), batch(), OBJECTIVES[objective]
    loss_of(objective, model, x, y).backward()
    weights = list(model.parameters())
    gradients = [torch.zeros_like(w) if w.grad is None else w.grad.clone() for w in weights]
    length = torch.stack([g.square().sum() for g in gradients]).sum().sqrt()
    step, values = 1e-6, []
    for sign in (1, -1):
        moved = deepcopy(model)
        with torch.no_grad():
            for weight, change in zip(moved.parameters(), gradients, strict=True):
                weight.add_(change, alpha=float(sign * step / length))
        values.append(loss_of(objective, moved, x, y).item())
    assert (values[0] - values[1]) / (2 * step) == pytest.approx(length.item(), rel=1e-4)


@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=list(OBJECTIVES))
@pytest.mark.parametrize("name", NETWORKS)
def test_it_is_more_than_the_gradient_of_the_cross_entropy(name, objective):
    """What is added has a gradient of its own: nothing on the way detached it. In train mode, as in training."""
    model, (x, y) = build(name).train(), batch()
    loss_of(objective, model, x, y).backward()
    plain = deepcopy(model).train()
    plain.zero_grad()
    natural(plain, x, y).total.backward()
    ours, theirs = (torch.cat([w.grad.flatten() for w in m.parameters() if w.grad is not None]) for m in (model, plain))
    assert ours.isfinite().all()
    assert (ours - theirs).norm() > 1e-3 * theirs.norm()


def test_fused_attention_alone_has_no_second_derivative():
    """If this fails, PyTorch has learnt it, and `differentiable_attention` can go."""
    query = torch.randn(1, 1, 4, 8, requires_grad=True)
    with sdpa_kernel([SDPBackend.FLASH_ATTENTION]):
        attended = nn.functional.scaled_dot_product_attention(query, query, query)
    (gradient,) = torch.autograd.grad(attended.square().sum(), query, create_graph=True)
    with pytest.raises(RuntimeError, match="not implemented"):
        gradient.square().sum().backward()


def test_attention_by_its_formula_only_where_it_is_needed():
    chosen = []

    class Spy(nn.Module):
        def forward(self, x):
            chosen.append(torch.backends.cuda.flash_sdp_enabled())
            return x.flatten(1)

    x, y = batch(2, 2)
    before = torch.backends.cuda.flash_sdp_enabled()
    input_gradient(Spy(), x, logit_of(y))
    input_gradient(Spy(), x, logit_of(y), create_graph=True)
    assert chosen == [before, False]
    with pytest.raises(KeyError), differentiable_attention():
        raise KeyError
    assert torch.backends.cuda.flash_sdp_enabled() == before


@pytest.mark.parametrize("training", [True, False])
def test_both_ways_of_attention_give_the_same_gradient(training):
    model, (x, y) = build("vit").train(training), batch()
    fused, formula = (input_gradient(model, x, logit_of(y), create_graph=graph) for graph in (False, True))
    torch.testing.assert_close(fused[0], formula[0])
    torch.testing.assert_close(fused[1], formula[1])


@pytest.mark.parametrize("frozen", [True, False])
def test_the_fast_path_of_attention_in_eval_mode_does_not_cut_the_graph(frozen):
    """PyTorch takes it for inference only; an image that wants a gradient keeps it off, even with frozen weights."""
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, activation="gelu", dtype=torch.float64)

    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder, self.head = nn.TransformerEncoder(layer, 2), nn.Linear(8, 4).double()

        def forward(self, x):
            return self.head(self.encoder(x.flatten(1, 2)).mean(1))

    model, (x, y) = Encoder().eval().requires_grad_(not frozen), batch()
    x.requires_grad_(True)
    assert torch.backends.mha.get_fastpath_enabled()
    _, gradient = input_gradient(model, x, logit_of(y), create_graph=True)
    gradient.square().sum().backward()
    assert x.grad.abs().sum() > 0


@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=list(OBJECTIVES))
@pytest.mark.parametrize("name", ["conv_bn", "vit"])
def test_mixed_precision_trains_almost_like_single_precision(tmp_path, name, objective):
    losses = []
    for precision in ("32-true", "bf16-mixed"):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            small = vit(channels=1, classes=4, image_size=8, width=16, depth=1)
        model = script.network() if name == "conv_bn" else small
        options = script.SETTINGS | {"max_steps": 4, "precision": precision}
        state = fit(
            model,
            objective,
            script.stripes(200, 0),
            script.stripes(60, 1),
            settings=TrainingSettings(**options),
            seed=0,
            directory=tmp_path / precision,
        )
        losses.append(state.history[-1]["loss"])
    assert losses[1] == pytest.approx(losses[0], rel=0.1)


def test_two_processes_with_batchnorm_take_the_mean_of_their_two_gradients(tmp_path):
    """One step of plain gradient descent on two processes, against the same worked out by hand for the two halves."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    rendezvous = ["--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0"]
    command = [*torchrun, *rendezvous, script.__file__, str(tmp_path)]
    subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=True, timeout=240, capture_output=True)
    found = [load_file(tmp_path / f"rank-{rank}.safetensors") for rank in (0, 1)]
    settings = TrainingSettings(**script.SETTINGS)
    start, batches = script.network().train(), Batches(script.stripes(200, 0), settings, 0)
    gradients = []
    for rank in (0, 1):
        replica, (x, y) = deepcopy(start), batches(0, rank, 2)[:2]
        script.OBJECTIVE(replica, x, y, generator=generator(0, "objective", 0, rank)).total.backward()
        gradients.append([w.grad for w in replica.parameters()])
    for (key, w), one, two in zip(start.named_parameters(), *gradients, strict=True):
        expected = w.detach() - settings.optimizer.options["lr"] * (one + two) / 2
        torch.testing.assert_close(found[0][key], expected, rtol=1e-4, atol=1e-6)
        assert torch.equal(found[0][key], found[1][key])
