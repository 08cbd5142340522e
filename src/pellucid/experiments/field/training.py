"""Full-batch training of many independent networks at once."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from pellucid.errors import RunFailed
from pellucid.experiments.field.networks import Networks

Method = Callable[..., Tensor]
"""One of :mod:`pellucid.experiments.field.methods`, with its options bound."""


def fit(
    networks: Networks,
    method: Method,
    x: Tensor,
    y: Tensor,
    *,
    generators: Sequence[torch.Generator],
    steps: int,
    lr: float,
    after_step: Callable[[], None] = lambda: None,
) -> None:
    """Train the networks in place with Adam on all points at each step.

    Networks do not feel each other: their losses are added up, and Adam moves each weight by itself.

    Parameters
    ----------
    x, y
        [S, N, 2] and [S, N]: each network has its own points.
    generators
        One a network.

    Raises
    ------
    RunFailed
        If a loss is not finite.
    """
    optimiser = torch.optim.Adam(networks.weights, lr=lr)
    for step in range(steps):
        losses = method(networks, x, y, generators=generators, progress=step / steps)
        optimiser.zero_grad()
        losses.sum().backward()
        optimiser.step()
        after_step()
    if not bool(losses.isfinite().all()):
        raise RunFailed(f"the loss is not finite after {steps} steps; use a smaller training.lr")
