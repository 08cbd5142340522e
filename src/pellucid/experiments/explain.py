"""Saliency maps of image files, by a trained run."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pellucid.data.dataset import Dataset
from pellucid.data.decoding import decode
from pellucid.experiments.suite import explainer
from pellucid.experiments.train import load_run
from pellucid.types import Image


@dataclass(frozen=True)
class Explanation:
    """One image file, what the model sees in it, and why.

    Attributes
    ----------
    image
        [C, H, W] in [0, 1], as the model gets it.
    predicted, probability
        The predicted class by name, and its softmax probability.
    maps
        One saliency map [H, W] of the predicted class's logit per attribution.
    """

    path: Path
    image: NDArray[np.float32]
    predicted: str
    probability: float
    maps: dict[str, NDArray[np.float32]]


def explain(run: Path, paths: list[Path], attributions: list[str]) -> list[Explanation]:
    """Explain the prediction of `run` for image files, brought to the size and channels that it was trained with.

    Raises
    ------
    BadInput
        If the run, an image or an attribution cannot be used.
    """
    explainers = [explainer(name) for name in attributions]
    _, _, model, splits = load_run(run)
    x = images_like(splits.test, paths)
    with torch.no_grad():
        probabilities = model(x).softmax(1)
    y = probabilities.argmax(1)
    ids = list(range(len(paths)))
    maps = {e.name: e(model, x, y, ids).squeeze(1).numpy() for e in explainers}
    return [
        Explanation(
            path,
            x[i].numpy(),
            splits.test.classes[int(y[i])],
            float(probabilities[i, y[i]]),
            {name: values[i] for name, values in maps.items()},
        )
        for i, path in enumerate(paths)
    ]


def images_like(dataset: Dataset, paths: list[Path]) -> Image:
    """Image files as [B, C, H, W] in [0, 1], in the size and channels of a data set."""
    pixels = decode(paths, image_size=dataset.image_size, channels="grey" if dataset.channels == 1 else "rgb")
    return pixels.float() / 255
