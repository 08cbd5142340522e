"""Images that all models of a human study classify correctly, with each model's map of each: its raw material."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pellucid.data.dataset import Dataset
from pellucid.errors import BadInput
from pellucid.experiments.measure.runs import Loaded, loaded, predictions
from pellucid.experiments.suite import explainer
from pellucid.randomness import generator
from pellucid.training.step import to_device


@dataclass(frozen=True)
class Stimuli:
    """Chosen images and their maps.

    Attributes
    ----------
    numbers
        Positions of the images in the test set; the first `images` are for the study, the others for practice.
    pixels
        float32 [N, C, H, W] in [0, 1].
    classes
        The class of each image by name, which all models see in it.
    maps
        float32 [N, H, W] by the run's name: saliency of the predicted class, in the attribution's own units.
    models
        Arm of each run, or its name where the arm is missing or shared.
    """

    numbers: list[int]
    pixels: NDArray[np.float32]
    classes: list[str]
    maps: dict[str, NDArray[np.float32]]
    models: dict[str, str]


def choose_stimuli(
    directories: Sequence[Path],
    *,
    images: int,
    practice: int = 0,
    attribution: str = "gradient",
    exclude: Collection[int] = (),
    seed: int = 0,
) -> Stimuli:
    """Draw images that all runs classify correctly, as many of each class as possible, and explain them.

    Parameters
    ----------
    images, practice
        How many for the study, and how many more for practice trials.
    exclude
        Positions in the test set that are not to be used.

    Raises
    ------
    BadInput
        If there are fewer than two runs, two have one name, their test images differ, or too few images are left.
    """
    runs = _comparable([loaded(directory) for directory in directories])
    test = runs[0].test
    correct = torch.stack([predictions(run.model, test) == test.labels for run in runs]).all(0)
    for number in exclude:
        correct[test.ids == number] = False
    chosen = _stratified(correct, test.labels, images + practice, seed=seed)
    if len(chosen) < images + practice:
        raise BadInput(
            f"{images} images and {practice} for practice are asked for, but only {len(chosen)} of {len(test)} test "
            "images are classified correctly by all runs and not excluded"
        )
    subset = test.subset(chosen)
    return Stimuli(
        numbers=subset.ids.tolist(),
        pixels=subset.batch(range(len(subset)))[0].numpy(),
        classes=[subset.classes[label] for label in subset.labels.tolist()],
        maps={run.directory.name: _maps(run, subset, attribution) for run in runs},
        models=_models(runs),
    )


def _comparable(runs: Sequence[Loaded]) -> Sequence[Loaded]:
    if len(runs) < 2:
        raise BadInput(f"a study compares at least two runs; got {len(runs)}")
    for name, count in Counter(run.directory.name for run in runs).items():
        if count > 1:
            raise BadInput(f"two runs are called '{name}'; rename one of their folders, so that the key can name them")
    for run in runs[1:]:
        if run.test.digest() != runs[0].test.digest():
            raise BadInput(f"{runs[0].directory} and {run.directory} have different test images; show them apart")
    return runs


def _stratified(usable: Tensor, labels: Tensor, count: int, *, seed: int) -> list[int]:
    """Positions of up to `count` usable images: one of every class in turn, classes and images in drawn orders."""
    order = torch.randperm(len(usable), generator=generator(seed, "study images"))
    queues: dict[int, list[int]] = {}
    for position in order[usable[order]].tolist():
        queues.setdefault(int(labels[position]), []).append(position)
    turns = [(turn, position) for queue in queues.values() for turn, position in enumerate(queue)]
    return [position for _, position in sorted(turns, key=lambda turn: turn[0])][:count]


def _maps(run: Loaded, subset: Dataset, attribution: str) -> NDArray[np.float32]:
    explain = explainer(attribution)
    parts = []
    for positions in torch.arange(len(subset)).split(32):
        x, y = to_device(subset.batch(positions), run.model)
        parts.append(explain(run.model, x, y, subset.ids[positions].tolist()).squeeze(1).float().cpu())
    return torch.cat(parts).detach().numpy()


def _models(runs: Sequence[Loaded]) -> dict[str, str]:
    arms: dict[str, Any] = {run.directory.name: run.config.arm for run in runs}
    shared = Counter(arms.values())
    return {name: arm if arm and shared[arm] == 1 else name for name, arm in arms.items()}
