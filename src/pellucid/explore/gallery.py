"""What there is to look at: trained models that take the same images, and the test images."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from pellucid.data.dataset import Dataset
from pellucid.errors import BadInput
from pellucid.experiments.measure.runs import Loaded, loaded, predictions, usual_eps

Show = Literal["all", "disagree", "wrong"]
UNKNOWN = -1
PART = 64
"""Images predicted at a time, between which requests are answered."""


@dataclass(frozen=True)
class Model:
    """A trained network and what people call it."""

    name: str
    arm: str
    network: nn.Module


@dataclass(frozen=True)
class Gallery:
    """Models and the test images of the first of them.

    Attributes
    ----------
    eps
        The usual radius of an attack on these models, in pixel units.
    predicted
        int64 [models, images]: the predicted class, UNKNOWN until :meth:`predict` has come to it.
    """

    models: tuple[Model, ...]
    test: Dataset
    eps: float
    predicted: Tensor

    @property
    def looked_at(self) -> int:
        """How many images all models have seen."""
        return int((self.predicted != UNKNOWN).all(0).sum())

    def predict(self) -> Iterator[None]:
        """Fill in `predicted`, a part at a time."""
        for part in torch.arange(len(self.test)).split(PART):
            images = self.test.subset(part)
            for row, model in zip(self.predicted, self.models, strict=True):
                row[part] = predictions(model.network, images)
                yield

    def positions(self, show: Show, label: int | None) -> list[int]:
        """Test images of a class (None: all): every one, those that models see differently, those that one gets wrong.

        Images that some model has not seen yet are left out where it matters.
        """
        known = (self.predicted != UNKNOWN).all(0)
        chosen = {
            "all": torch.ones_like(known),
            "disagree": known & (self.predicted != self.predicted[0]).any(0),
            "wrong": known & (self.predicted != self.test.labels).any(0),
        }[show]
        if label is not None:
            chosen = chosen & (self.test.labels == label)
        found: list[int] = chosen.nonzero().squeeze(1).tolist()
        return found


def open_gallery(directories: Sequence[Path]) -> Gallery:
    """The models of finished runs and the test images of the first.

    Raises
    ------
    BadInput
        If a directory holds no finished run or is named twice, or the runs differ in size or channels of their images
        or in their classes.
    """
    runs = [loaded(directory) for directory in directories]
    for run in runs[1:]:
        if _kind(run) != _kind(runs[0]):
            raise BadInput(
                f"the images or classes of {runs[0].directory} ({_words(runs[0])}) are not those of {run.directory} "
                f"({_words(run)}); explore them one after the other"
            )
    test = runs[0].test
    names = _names([run.directory for run in runs])
    models = [Model(name, run.config.arm or "", run.model) for name, run in zip(names, runs, strict=True)]
    predicted = torch.full((len(models), len(test)), UNKNOWN)
    return Gallery(tuple(models), test, usual_eps(runs), predicted)


def _kind(run: Loaded) -> tuple[object, ...]:
    return tuple(run.test.images.shape[1:]), run.test.classes


def _words(run: Loaded) -> str:
    channels, height, width = run.test.images.shape[1:]
    classes = run.test.classes
    return f"{width} × {height} pixels, {channels} channels, {len(classes)} classes: {classes[0]}, …, {classes[-1]}"


def _names(directories: Sequence[Path]) -> list[str]:
    """The names of the folders, or their whole paths where two folders have one name."""
    whole = [str(directory.resolve()) for directory in directories]
    for path in whole:
        if whole.count(path) > 1:
            raise BadInput(f"{path} is given twice")
    short = [Path(path).name for path in whole]
    return short if len(set(short)) == len(short) else whole
