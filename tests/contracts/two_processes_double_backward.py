"""One step of training on input gradients of a network with BatchNorm, as torchrun's two processes run it."""

import os
import sys
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from pellucid.data.dataset import Dataset
from pellucid.objectives import input_gradient_penalty
from pellucid.regularisers import misalignment
from pellucid.regularisers.composition import regularised
from pellucid.training.fit import fit
from pellucid.training.settings import TrainingSettings

OBJECTIVE = regularised(partial(input_gradient_penalty, weight=3.0), {"misalignment": (3.0, misalignment)})
SETTINGS = {
    "epochs": 1,
    "batch_size": 16,
    "max_steps": 1,
    "optimizer": {"name": "sgd", "lr": 0.05, "momentum": 0.0, "nesterov": False, "weight_decay": 0.0},
    "schedule": "constant",
    "device": "cpu",
}


def network() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.Tanh(), nn.Flatten(), nn.Linear(216, 4))


def stripes(count: int, seed: int) -> Dataset:
    """Noisy 8 × 8 images whose class is the row of a bright stripe."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 4
    images = torch.randint(0, 120, (count, 1, 8, 8), generator=generator)
    images[torch.arange(count), 0, 2 * labels] += 120
    return Dataset("stripes", "train", images.to(torch.uint8), labels, ("a", "b", "c", "d"), torch.arange(count))


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder, model = Path(sys.argv[1]), network()
    settings = TrainingSettings(**SETTINGS)
    fit(model, OBJECTIVE, stripes(200, 0), stripes(60, 1), settings=settings, seed=0, directory=folder / "run")
    trained = {name: w.detach().contiguous() for name, w in model.named_parameters()}
    save_file(trained, folder / f"rank-{os.environ['RANK']}.safetensors")
