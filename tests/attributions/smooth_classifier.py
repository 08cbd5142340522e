"""A small smooth classifier in float64: it has second derivatives, and differences are exact to many digits."""

import torch
from torch import nn


def smooth_classifier() -> nn.Sequential:
    torch.manual_seed(0)
    network = nn.Sequential()
    network.add_module("conv", nn.Conv2d(3, 5, 3, padding=1))
    network.add_module("act", nn.Softplus())
    network.add_module("pool", nn.AvgPool2d(2))
    network.add_module("flat", nn.Flatten())
    network.add_module("head", nn.Linear(5 * 4 * 4, 4))
    for parameter in network.parameters():
        parameter.data.mul_(6)  # curved enough that points along a path differ
    return network.double().eval()
