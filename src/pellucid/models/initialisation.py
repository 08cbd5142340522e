"""Initial weights as a function of a seed."""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

Network = TypeVar("Network", bound=nn.Module)


def initialised(builder: Callable[[], Network], seed: int) -> Network:
    """Call `builder` so that the weights it draws depend on `seed` alone.

    The same seed gives the same weights whatever was drawn before and whatever the default device is: the network is
    built on the CPU. The global random state is left as it was.
    """
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.default_generator.manual_seed(seed)
        return builder()


def kaiming(convolution: nn.Conv2d) -> None:
    """Draw the weights, not the bias, anew from N(0, 2 / fan-out) (He et al. 2015) as T3S's residual networks do."""
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
