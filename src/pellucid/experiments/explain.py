"""Saliency maps of image files, by a trained run."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pellucid.data.decoding import decode
from pellucid.experiments.suite import explainer
from pellucid.experiments.train import load_run


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
    shape = splits.test
    pixels = decode(paths, image_size=shape.image_size, channels="grey" if shape.channels == 1 else "rgb")
    x = pixels.float() / 255
    with torch.no_grad():
        probabilities = model(x).softmax(1)
    y = probabilities.argmax(1)
    ids = list(range(len(paths)))
    maps = {e.name: e(model, x, y, ids).squeeze(1).numpy() for e in explainers}
    return [
        Explanation(
            path,
            x[i].numpy(),
            shape.classes[int(y[i])],
            float(probabilities[i, y[i]]),
            {name: values[i] for name, values in maps.items()},
        )
        for i, path in enumerate(paths)
    ]
