"""Deterministic adversarial training (no random start), run by one process or by torchrun's two."""

import sys
from pathlib import Path

import torch
from stripes import stripes
from torch import nn

from pellucid.attacks import Linf, pgd
from pellucid.modes import mode, unwrapped
from pellucid.objectives import natural
from pellucid.training.fit import fit
from pellucid.training.settings import TrainingSettings


def attacked(model, x, y, *, generator):
    with mode(model, training=False):
        moved = pgd(unwrapped(model), x, y, Linf(0.05), step_size=0.02, steps=3)
    return natural(model, moved, y)


torch.set_num_threads(1)
torch.manual_seed(0)
network = nn.Sequential(nn.Conv2d(1, 6, 3), nn.Tanh(), nn.Flatten(), nn.Linear(216, 4))
settings = TrainingSettings(epochs=2, batch_size=16, optimizer={"name": "sgd", "lr": 0.05}, device="cpu")
fit(network, attacked, stripes(200, 0), stripes(60, 1), settings=settings, seed=0, directory=Path(sys.argv[1]))
