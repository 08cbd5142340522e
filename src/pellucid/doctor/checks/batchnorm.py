"""BatchNorm: the layer whose state is neither a weight nor a constant."""

import torch
from torch import Tensor, nn

from pellucid.doctor.case import Case
from pellucid.doctor.checks.structure import require_batchnorm
from pellucid.doctor.findings import NotApplicable, Seen, check, ok, problem, warning

TINY_BATCH = 8


@check(
    why="In eval mode BatchNorm divides by its running statistics: wrong ones make another network.",
    mend="Load the buffers with the weights (strict=True), or let the model see training images in train mode once.",
)
def batchnorm_statistics(case: Case) -> Seen:
    """BatchNorm without running statistics, or with some that were never updated or do not fit."""
    layers = require_batchnorm(case)
    without = [name for name, layer in layers if layer.running_mean is None or layer.running_var is None]
    if without:
        return problem(f"{len(without)} of {len(layers)} BatchNorm layers keep no running statistics ('{without[0]}')")
    fresh = [name for name, layer in layers if _fresh(layer)]
    trained = [name for name, layer in layers if layer.affine and not _initial(layer)]
    if fresh and trained:
        return problem(
            f"{len(fresh)} of {len(layers)} BatchNorm layers have running mean 0 and variance 1 ('{fresh[0]}'), "
            f"though {len(trained)} have trained weights"
        )
    if fresh:
        raise NotApplicable(f"{len(fresh)} of {len(layers)} BatchNorm layers are as new, like their weights")
    return _fit(case, *layers[0], len(layers))


@check(
    why="A momentum of 0, 1 or None keeps statistics of no batch, of the last one, or of all of the training alike.",
    mend="Set momentum back to 0.1 and train on.",
)
def batchnorm_momentum(case: Case) -> Seen:
    """BatchNorm whose running statistics do not follow the training."""
    layers = require_batchnorm(case)
    odd = [(name, layer.momentum) for name, layer in layers if layer.momentum in (None, 0, 1)]
    if odd:
        return warning(f"{len(odd)} of {len(layers)} BatchNorm layers have momentum {odd[0][1]} ('{odd[0][0]}')")
    return ok(f"momentum is {layers[0][1].momentum} in the first of {len(layers)} BatchNorm layers")


@check(
    why="Statistics of tiny batches are noise, which train mode puts into every gradient.",
    mend="Use batches of 16 images or more, or GroupNorm.",
)
def batchnorm_batch(case: Case) -> Seen:
    """Training batches too small for BatchNorm."""
    layers = require_batchnorm(case)
    if case.config is None:
        raise NotApplicable("no config says how large the training batches are")
    size = case.config.training.batch_size
    seen = f"{len(layers)} BatchNorm layers are trained in batches of {size}"
    return warning(seen) if size < TINY_BATCH else ok(seen)


@check(
    why="Attacks pass twice through BatchNorm before one backward; DDP overwrites its buffers in between.",
    mend="DistributedDataParallel(model, broadcast_buffers=False), and attack the module inside it in eval mode.",
)
def batchnorm_ddp(case: Case) -> Seen:
    """BatchNorm inside DataParallel, or DistributedDataParallel that broadcasts buffers."""
    layers = require_batchnorm(case)
    kind = type(case.wrapper).__name__
    if kind == "DataParallel":
        return warning(f"DataParallel cuts each batch before {len(layers)} BatchNorm layers, which see a part of it")
    if kind == "DistributedDataParallel" and getattr(case.wrapper, "broadcast_buffers", True):
        return warning(
            f"DistributedDataParallel broadcasts the buffers of {len(layers)} BatchNorm layers in each forward"
        )
    return ok(f"{len(layers)} BatchNorm layers; Pellucid's training attacks in eval mode, outside of any DDP wrapper")


def _fresh(layer: nn.modules.batchnorm._BatchNorm) -> bool:
    assert layer.running_mean is not None
    assert layer.running_var is not None
    return bool((layer.running_mean == 0).all() and (layer.running_var == 1).all())


def _initial(layer: nn.modules.batchnorm._BatchNorm) -> bool:
    """Weights all 1 or all 0 (the start of a residual branch) and biases all 0."""
    weight, bias = layer.weight, layer.bias
    return bool(((weight == 1).all() or (weight == 0).all()) and (bias == 0).all())


def _fit(case: Case, name: str, layer: nn.Module, layers: int) -> Seen:
    """Compare the first layer's running statistics with those of its input in eval mode."""
    case.require_logits()
    entered: list[Tensor] = []
    layer.register_forward_pre_hook(lambda _, inputs: entered.append(inputs[0].detach().double()))
    case.logits_of(case.glimpse(64))
    if not entered or entered[0].ndim != 4:
        raise NotApplicable(f"'{name}' sees no maps [B, C, H, W]")
    values = torch.cat([part for part in entered if part.shape[1:] == entered[0].shape[1:]])
    variance = values.var((0, 2, 3)).clamp_min(1e-12)
    running = layer.running_var.double().clamp_min(1e-12)  # type: ignore[operator]
    off = ((values.mean((0, 2, 3)) - layer.running_mean.double()).abs() / running.sqrt()).median()  # type: ignore[operator]
    ratio = (variance / running).log().abs().median().exp()
    seen = f"input of '{name}' (of {layers}): mean {off:.2g} std off, variance {ratio:.2g}-fold off (medians)"
    return warning(seen) if off > 2 or ratio > 10 else ok(seen)
