"""Trained runs, ready to be measured."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.data.dataset import Dataset
from pellucid.experiments.config import RunConfig, nameless
from pellucid.experiments.measure.team import ALONE, Team
from pellucid.experiments.memorisation import memorised
from pellucid.experiments.train import load_run
from pellucid.training.step import to_device

TRAINING_IMAGES = 2000
PREDICTED_AT_ONCE = 256


@dataclass(frozen=True)
class Loaded:
    """A trained run, ready to be measured."""

    directory: Path
    config: RunConfig
    manifest: dict[str, Any]
    model: nn.Module
    train: Dataset
    test: Dataset
    flipped: Tensor
    """Bool [N]: training images that have a wrong label on purpose."""
    trained_eps: float | None


def loaded(directory: Path) -> Loaded:
    """The finished run in `directory`, its model in eval mode. Raises BadInput if there is none."""
    config, manifest, model, splits = load_run(directory)
    if torch.cuda.is_available() and config.training.device != "cpu":
        model = model.cuda()
    attack = config.training.robust_validation
    eps = attack.eps if attack else None
    return Loaded(directory, config, manifest, model, splits.train, splits.test, splits.flipped, eps)


def usual_eps(runs: Sequence[Loaded]) -> float:
    """The largest ε that a run was trained with, else the data set's usual one; pixel units."""
    trained = [run.trained_eps for run in runs if run.trained_eps is not None]
    if trained:
        return max(trained)
    # Definitions §1.3: 6.3/255 is what ε = 0.1 means in CIFAR-10's normalised units.
    usual = {"cifar10": 6.3 / 255, "imagenette": 4 / 255}
    return usual.get(runs[0].manifest["data"]["name"].replace("-", "_"), 0.1 if runs[0].test.channels == 1 else 4 / 255)


def predictions(model: nn.Module, test: Dataset, *, chunk: int = PREDICTED_AT_ONCE, team: Team = ALONE) -> Tensor:
    """The predicted class of every image, int64 [N] on the CPU; `chunk` images a pass at most, shared by the team."""
    parts = torch.arange(len(test)).split(min(chunk, PREDICTED_AT_ONCE))
    with torch.no_grad():
        mine = [model(to_device(test.batch(part), model)[0]).argmax(1).cpu() for part in team.share(parts)]
    found = torch.empty(len(test), dtype=torch.int64)
    for rank, theirs in enumerate(team.gather(mine)):
        for part, classes in zip(Team(rank, team.size).share(parts), theirs, strict=True):
            found[part] = classes
    return found


def train_accuracy(run: Loaded, *, chunk: int = PREDICTED_AT_ONCE, team: Team = ALONE) -> float:
    """Share of the first training images classified correctly: less the test accuracy, the overfitting gap."""
    seen = run.train.subset(torch.arange(min(TRAINING_IMAGES, len(run.train))))
    return float((predictions(run.model, seen, chunk=chunk, team=team) == seen.labels).float().mean())


def memorisation(run: Loaded) -> float | None:
    """Share of the training images with wrong labels that are predicted as these; None if no label is wrong."""
    if not run.flipped.any():
        return None
    return float(memorised(run.model, run.train, run.flipped).nanmean())


def twins_of(run: Loaded, runs: Sequence[Loaded]) -> dict[str, Loaded]:
    """The runs whose maps are compared with those of `run`, as far as they are among `runs`.

    "other_seed": the same but for the next seed (the first after the last). "noiseless": trained on true labels, where
    `run` was not, and else the same (arms and groups may be called as they like).
    """
    found = {"other_seed": _other_seed(run, runs), "noiseless": _noiseless(run, runs)}
    return {name: twin for name, twin in found.items() if twin is not None}


def _other_seed(run: Loaded, runs: Sequence[Loaded]) -> Loaded | None:
    alike = [other for other in runs if _seedless(other) == _seedless(run)]
    alike.sort(key=lambda other: other.config.seed)
    place = next(index for index, other in enumerate(alike) if other.directory == run.directory)
    twin = alike[(place + 1) % len(alike)]
    return None if twin.config.seed == run.config.seed else twin


def _noiseless(run: Loaded, runs: Sequence[Loaded]) -> Loaded | None:
    if run.config.data.label_noise == 0:
        return None
    truth = run.config.data.model_copy(update={"label_noise": 0.0})
    wanted = nameless(run.config.model_copy(update={"data": truth}))
    return next((other for other in runs if nameless(other.config) == wanted), None)


def _seedless(run: Loaded) -> RunConfig:
    return run.config.model_copy(update={"seed": 0})
