"""Trained runs, ready to be measured."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.data.dataset import Dataset
from pellucid.experiments.config import RunConfig
from pellucid.experiments.train import load_run
from pellucid.training.step import to_device

TRAINING_IMAGES = 2000


@dataclass(frozen=True)
class Loaded:
    """A trained run, ready to be measured."""

    directory: Path
    config: RunConfig
    manifest: dict[str, Any]
    model: nn.Module
    train: Dataset
    test: Dataset
    trained_eps: float | None


def loaded(directory: Path) -> Loaded:
    """The finished run in `directory`, its model in eval mode. Raises BadInput if there is none."""
    config, manifest, model, splits = load_run(directory)
    if torch.cuda.is_available() and config.training.device != "cpu":
        model = model.cuda()
    attack = config.training.robust_validation
    return Loaded(directory, config, manifest, model, splits.train, splits.test, attack.eps if attack else None)


def usual_eps(runs: Sequence[Loaded]) -> float:
    """The largest ε that a run was trained with, else the data set's usual one; pixel units."""
    trained = [run.trained_eps for run in runs if run.trained_eps is not None]
    if trained:
        return max(trained)
    # Definitions §1.3: 6.3/255 is what ε = 0.1 means in CIFAR-10's normalised units.
    usual = {"cifar10": 6.3 / 255, "imagenette": 4 / 255}
    return usual.get(runs[0].manifest["data"]["name"].replace("-", "_"), 0.1 if runs[0].test.channels == 1 else 4 / 255)


def predictions(model: nn.Module, test: Dataset) -> Tensor:
    """The predicted class of every image, int64 [N] on the CPU."""
    with torch.no_grad():
        batches = [
            model(to_device(test.batch(p), model)[0]).argmax(1).cpu() for p in torch.arange(len(test)).split(256)
        ]
    return torch.cat(batches)


def train_accuracy(run: Loaded) -> float:
    """Share of the first training images classified correctly: less the test accuracy, the overfitting gap."""
    seen = run.train.subset(torch.arange(min(TRAINING_IMAGES, len(run.train))))
    return float((predictions(run.model, seen) == seen.labels).float().mean())


def twin_of(run: Loaded, runs: Sequence[Loaded]) -> Loaded | None:
    """The run with the next seed that differs in nothing else (the first after the last); None if there is none."""
    alike = [other for other in runs if _seedless(other) == _seedless(run)]
    alike.sort(key=lambda other: other.config.seed)
    place = next(index for index, other in enumerate(alike) if other.directory == run.directory)
    twin = alike[(place + 1) % len(alike)]
    return None if twin.config.seed == run.config.seed else twin


def _seedless(run: Loaded) -> RunConfig:
    return run.config.model_copy(update={"seed": 0})
