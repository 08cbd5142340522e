"""A small world for the doctor: coloured patterns, a network that learns them in a second, and faults to plant."""

import copy
from functools import cache

import torch
from torch import nn

from pellucid.models.normalised import normalised
from pellucid.randomness import generator

CLASSES, SIZE = 6, 16
MEAN, STD = (0.35, 0.3, 0.25), (0.3, 0.27, 0.25)


@cache
def patterns(count=900, seed=0):
    """Stripes of two directions in three colours, with noise: [N, 3, 16, 16] in [0, 1], labels 0 … 5."""
    draws = generator("patterns", seed)
    labels = torch.randint(CLASSES, (count,), generator=draws)
    phase = torch.rand(count, 1, 1, generator=draws) * 6.28
    rows = torch.arange(SIZE).view(1, SIZE, 1) * 0.8 + phase
    stripes = (rows.sin() * 0.5 + 0.5).expand(count, SIZE, SIZE)
    stripes = torch.where((labels % 2 == 0)[:, None, None], stripes, stripes.transpose(1, 2))
    colour = torch.full((count, 3), 0.25)
    colour[torch.arange(count), labels // 2] = 0.9
    noise = 0.15 * torch.randn(count, 3, SIZE, SIZE, generator=draws)
    images = (colour[:, :, None, None] * stripes[:, None] + noise).clamp(0, 1)
    return (images * 255).round() / 255, labels


def network(classes=CLASSES, channels=3):
    return nn.Sequential(
        nn.Conv2d(channels, 12, 3, padding=1),
        nn.BatchNorm2d(12),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(12, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.AdaptiveAvgPool2d(4),
        nn.Flatten(),
        nn.Linear(256, classes),
    )


@cache
def _trained():
    x, y = patterns()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = normalised(network(), MEAN, STD)
        optimizer = torch.optim.Adam(model.parameters(), 0.005)
        for step in range(60):
            chosen = torch.arange(step * 64, step * 64 + 64) % len(x)
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[chosen]), y[chosen]).backward()
            optimizer.step()
        model.zero_grad(set_to_none=True)
    return model.eval()


def trained():
    """A fresh copy of the trained classifier (accuracy above 95 %), in eval mode."""
    return copy.deepcopy(_trained())


def splits():
    return patterns(), patterns(200, seed=1)


class Around(nn.Module):
    """A trained classifier with something done to its input and its output."""

    def __init__(self, model=None, before=lambda x: x, after=lambda z: z):
        super().__init__()
        self.model = model if model is not None else trained()
        self.before, self.after = before, after

    def forward(self, x):
        return self.after(self.model(self.before(x)))
