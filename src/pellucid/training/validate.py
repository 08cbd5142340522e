"""Clean and PGD-robust accuracy on the validation split."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from pellucid.attacks import ball, sample_per_image, step_length, worst_case
from pellucid.data.dataset import Dataset
from pellucid.errors import BadInput
from pellucid.modes import mode
from pellucid.training.settings import RobustValidation, TrainingSettings
from pellucid.training.step import to_device

MAP_SCORE = "map_score"
SLACK = 1e-9
"""Points of accuracy are differences of shares, which are rounded."""

MapMeasure = Callable[[nn.Module, Dataset], Mapping[str, float]]
"""Numbers that say how readable a model's maps of images are; :data:`MAP_SCORE` is among them, higher is better."""


@dataclass(frozen=True)
class Validation:
    """The held-out images, and how the maps of a model are judged on them, for the choice "trade_off"."""

    images: Dataset
    maps: MapMeasure | None = None

    @classmethod
    def of(cls, validation: "Dataset | Validation") -> "Validation":
        """The same, or images alone."""
        return validation if isinstance(validation, Validation) else cls(validation)


def validated(model: nn.Module, validation: Validation, settings: TrainingSettings, *, seed: int) -> dict[str, Any]:
    """What one epoch's validation finds: accuracies in [0, 1], and the maps' numbers where they choose.

    Raises
    ------
    BadInput
        If the maps are to choose and nothing measures them.
    """
    attack = settings.robust_validation
    robust = None if attack is None else robust_accuracy(model, validation.images, attack, seed=seed)
    maps: Mapping[str, float] = {}
    if settings.choose == "trade_off":
        if validation.maps is None:
            raise BadInput("choose 'trade_off' needs a measure of the maps: pass fit a Validation(images, maps)")
        maps = validation.maps(model, validation.images)
    clean = clean_accuracy(model, validation.images)
    return {"clean_accuracy": clean, "robust_accuracy": robust, **maps}


def score(history: Sequence[Mapping[str, Any]], settings: TrainingSettings) -> float | None:
    """How good the last epoch of a history is by the run's choice (higher is better); None if it is not to be kept.

    For "trade_off" the first row is the start (epoch 0), whose clean accuracy bounds that of the others.
    """
    row = history[-1]
    if settings.choose == "trade_off":
        lost = 100 * (history[0]["clean_accuracy"] - row["clean_accuracy"])
        assert settings.max_accuracy_drop is not None
        return float(row[MAP_SCORE]) if lost <= settings.max_accuracy_drop + SLACK else None
    found = {"robust": row["robust_accuracy"], "last": float(row["step"])}.get(settings.choose, row["clean_accuracy"])
    return None if found is None else float(found)


def clean_accuracy(model: nn.Module, dataset: Dataset, *, batch_size: int = 256) -> float:
    """Share of images classified correctly, model in eval mode."""
    right = 0
    with mode(model, training=False), torch.no_grad():
        for positions in torch.arange(len(dataset)).split(batch_size):
            x, y = to_device(dataset.batch(positions), model)
            right += int((model(x).argmax(1) == y).sum())
    return right / len(dataset)


def robust_accuracy(model: nn.Module, dataset: Dataset, attack: RobustValidation, *, seed: int) -> float:
    """Share of the first `attack.images` images that stay correct under PGD (step 2.5·eps/steps, one random start)."""
    region = ball(attack.norm, attack.eps)
    count = min(attack.images, len(dataset))
    right = 0
    with mode(model, training=False):
        for positions in torch.arange(count).split(256):
            x, y = to_device(dataset.batch(positions), model)
            start = sample_per_image(region, x, dataset.ids[positions].tolist(), seed=seed, stream="validation")
            alpha = step_length(attack.eps, attack.steps)
            _, robust = worst_case(model, x, y, region, step_size=alpha, steps=attack.steps, starts=[start])
            right += int(robust.sum())
    return right / count
