"""A small run with all that could go wrong on resuming: BatchNorm, dropout, augmentation, an attack, momentum."""

import sys
from functools import partial
from pathlib import Path

import torch
from stripes import stripes
from torch import nn

from pellucid.objectives import adversarial
from pellucid.training.fit import fit
from pellucid.training.settings import TrainingSettings

OBJECTIVE = partial(adversarial, eps=0.05, steps=2)
SETTINGS = {
    "epochs": 4,
    "batch_size": 16,
    "optimizer": {"name": "adam", "lr": 0.01},
    "augmentation": {"crop": 1, "flip": True},
    "robust_validation": {"eps": 0.05, "steps": 2, "images": 20},
    "choose": "robust",
    "checkpoint_seconds": 0.001,
    "device": "cpu",
}


def small_model() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Dropout(0.2), nn.Linear(216, 4)
        )


def run(directory: Path, **changes: object) -> tuple[nn.Module, object]:
    model = small_model()
    settings = TrainingSettings(**(SETTINGS | changes))
    state = fit(model, OBJECTIVE, stripes(200, 0), stripes(60, 1), settings=settings, seed=3, directory=directory)
    return model, state


def run_model(directory: Path, **changes: object) -> tuple[nn.Module, dict[str, torch.Tensor]]:
    """The trained model, and the weights it started with."""
    start = {name: tensor.clone() for name, tensor in small_model().state_dict().items()}
    return run(directory, **changes)[0], start


if __name__ == "__main__":
    torch.set_num_threads(1)
    run(Path(sys.argv[1]))
