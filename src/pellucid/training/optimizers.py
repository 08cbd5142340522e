"""Optimisers by name: plain functions of the parameters."""

from collections.abc import Iterable

import torch
from torch.nn import Parameter
from torch.optim import Optimizer

from pellucid.errors import BadInput
from pellucid.naming import NonNegative, Positive

__all__ = ["adam", "adamw", "ranger", "sgd"]


def sgd(
    parameters: Iterable[Parameter],
    *,
    lr: Positive = 0.1,
    momentum: NonNegative = 0.9,
    nesterov: bool = True,
    weight_decay: NonNegative = 5e-4,
) -> Optimizer:
    """SGD with momentum; the defaults are those of the T3S CIFAR-10 script (definitions §1.4)."""
    return torch.optim.SGD(parameters, lr, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay)


def adam(
    parameters: Iterable[Parameter],
    *,
    lr: Positive = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    weight_decay: NonNegative = 0.0,
) -> Optimizer:
    """Adam (Kingma and Ba 2015)."""
    return torch.optim.Adam(parameters, lr, betas=betas, weight_decay=weight_decay)


def adamw(
    parameters: Iterable[Parameter],
    *,
    lr: Positive = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    weight_decay: NonNegative = 1e-2,
) -> Optimizer:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019)."""
    return torch.optim.AdamW(parameters, lr, betas=betas, weight_decay=weight_decay)


def ranger(
    parameters: Iterable[Parameter], *, lr: Positive = 8e-3, eps: Positive = 1e-6, weight_decay: NonNegative = 0.0
) -> Optimizer:
    """RAdam + Lookahead + gradient centralisation; the defaults are those of the T3S ImageNette script (§1.4).

    Raises
    ------
    BadInput
        If the extra is not installed.
    """
    try:
        from pytorch_optimizer import Ranger  # noqa: PLC0415 (an extra)
    except ImportError as error:
        raise BadInput("the optimizer 'ranger' needs an extra: pip install 'pellucid[ranger]'") from error
    optimizer: Optimizer = Ranger(list(parameters), lr=lr, eps=eps, weight_decay=weight_decay)
    return optimizer
