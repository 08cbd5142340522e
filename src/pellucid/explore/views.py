"""What is computed of one image: every model's prediction and maps, untouched and under a change of the image."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pellucid import attributions
from pellucid.attacks import Budget, Linf, explanation, pgd, sample_per_image
from pellucid.attacks.explanation import Looked
from pellucid.experiments.suite.batch import Batch
from pellucid.experiments.suite.evidence import budget_for
from pellucid.experiments.suite.explainer import explainer
from pellucid.explore.gallery import Gallery, Model
from pellucid.explore.recent import Recent
from pellucid.explore.worker import Check
from pellucid.metrics.stability.ros import ros_norm
from pellucid.metrics.stability.ssim import ssim_clean
from pellucid.metrics.stability.top_k_intersection import top_k_intersection
from pellucid.randomness import normal_per_image
from pellucid.training.step import to_device
from pellucid.types import Image, Labels

TOO_SLOW = ("captum_attribution", "kernel_shap", "lime", "occlusion")
"""Attributions that take a layer or many passes: not for a slider."""
ATTRIBUTIONS = tuple(name for name in attributions.__all__ if name not in TOO_SLOW)
ATTACKS = ("top_k", "mass_centre", "target_region", "random")
STEPS = 20
"""Of PGD, each ε/4 long, as robust accuracy is measured (definitions §4.5)."""

Kind = Literal["noise", "attack"]


@dataclass(frozen=True)
class Subject:
    """The image that is looked at.

    Attributes
    ----------
    pixels
        [1, C, H, W] in [0, 1].
    number
        Decides, with a seed, the noise of this image.
    title
        What people call it.
    label
        Its class by the data set; None for an upload.
    """

    key: str
    pixels: Image
    number: int
    title: str
    label: int | None = None


@dataclass(frozen=True)
class Change:
    """What is done to the image: Gaussian noise of standard deviation `amount` or PGD of that radius; pixel units."""

    kind: Kind
    amount: float
    seed: int = 0


@dataclass(frozen=True)
class Map:
    """A saliency map [H, W], and what it has in common with that of the untouched image, by name; NaN if undefined."""

    attribution: str
    values: NDArray[np.float32]
    numbers: dict[str, float]


@dataclass(frozen=True)
class View:
    """One model's view of the image.

    Attributes
    ----------
    image, untouched
        [C, H, W] in [0, 1]: what the model saw, and what it was made of.
    probabilities
        [K].
    explained
        The class it predicts for the untouched image, of which all maps are.
    """

    model: str
    image: NDArray[np.float32]
    untouched: NDArray[np.float32]
    probabilities: NDArray[np.float64]
    explained: int
    maps: tuple[Map, ...]

    @property
    def predicted(self) -> int:
        """The most probable class."""
        return int(self.probabilities.argmax())

    @property
    def perturbation(self) -> NDArray[np.float32]:
        """[C, H, W]: how far the image is from the untouched one."""
        return self.image - self.untouched


class Viewer:
    """Computes views, and keeps what the next request is likely to need; for one thread.

    Parameters
    ----------
    gallery
        The models.
    """

    def __init__(self, gallery: Gallery) -> None:
        self.gallery = gallery
        self._batches: Recent[tuple[str, str, str], Batch] = Recent(12 * len(gallery.models))
        self._walks: Recent[tuple[str, str, int], list[list[View]]] = Recent(1)  # hundreds of MB for large images

    def changed(self, subject: Subject, change: Change, names: Sequence[str], check: Check) -> list[View]:
        """Every model's view of the changed image, with a map and its numbers for each attribution."""
        views = []
        for model in self.gallery.models:
            check()
            x, y = self._untouched(subject, model)
            image = _apply(model, x, y, subject, change)
            maps = []
            for name in names:
                check()
                maps.append(_compared(self._batch(subject, model, name), image))
            with torch.no_grad():
                probabilities = _probabilities(model.network(image))
            views.append(View(model.name, _plain(image[0]), _plain(x[0]), probabilities, int(y), tuple(maps)))
        return views

    def walked(self, subject: Subject, attack: str, seed: int, check: Check) -> list[list[View]]:
        """Every model's views along an attack on its gradient map: the untouched image, then every iterate."""

        def walk() -> list[list[View]]:
            return [self._walk(subject, model, attack, seed, check) for model in self.gallery.models]

        return self._walks.made((subject.key, attack, seed), walk)

    def budget(self, subject: Subject) -> Budget:
        """What an attack on the explanation may spend: the published budget, k at most half of the pixels."""
        budget = budget_for(self._batch(subject, self.gallery.models[0], "gradient"))
        return replace(budget, k=min(budget.k, subject.pixels[0, 0].numel() // 2))

    def _walk(self, subject: Subject, model: Model, attack: str, seed: int, check: Check) -> list[View]:
        x, y = self._untouched(subject, model)
        budget = self.budget(subject)
        looked = explanation.iterates(attack, model.network, x, y, budget=budget, ids=[subject.number], seed=seed)
        with closing(looked):
            clean = next(looked)
            untouched = _plain(x[0])
            views = [_step_of(model, untouched, clean, clean, budget)]
            for step in looked:
                check()
                views.append(_step_of(model, untouched, clean, step, budget))
        return views

    def _batch(self, subject: Subject, model: Model, attribution: str) -> Batch:
        """The untouched image as the measurements see it; its map is computed once."""

        def make() -> Batch:
            x, y = self._untouched(subject, model)
            return Batch(model.network, x, y, [subject.number], explainer(attribution))

        return self._batches.made((subject.key, model.name, attribution), make)

    def _untouched(self, subject: Subject, model: Model) -> tuple[Image, Labels]:
        """The image where the model is, and the class that it predicts."""
        x, _ = to_device((subject.pixels, torch.zeros(1)), model.network)
        with torch.no_grad():
            return x, model.network(x).argmax(1)


def _apply(model: Model, x: Image, y: Labels, subject: Subject, change: Change) -> Image:
    """The changed image [1, C, H, W] in [0, 1]; the same for the same change."""
    ids = [subject.number]
    if change.kind == "noise":
        noise = normal_per_image(ids, x.shape[1:], seed=change.seed, stream="explore").to(x)
        return (x + change.amount * noise).clamp(0, 1)
    region = Linf(change.amount)
    start = sample_per_image(region, x, ids, seed=change.seed, stream="explore")
    return pgd(model.network, x, y, region, step_size=change.amount / 4, steps=STEPS, start=start)


def _compared(batch: Batch, image: Image) -> Map:
    """The map of a changed image, for the class that is predicted for the untouched one."""
    other = batch.perturbed(image[:, None])
    ros = ros_norm(batch.saliency, other.maps, batch.logits, other.logits, other.same).value
    numbers = {"ssim": float(ssim_clean(batch.saliency, other.maps[:, 0])), "ros": float(ros)}
    return Map(batch.explain.name, _plain(other.maps[0, 0, 0]), numbers)


def _step_of(model: Model, untouched: NDArray[np.float32], clean: Looked, step: Looked, budget: Budget) -> View:
    before, after = clean.seen, step.seen
    ros = ros_norm(before.saliency, after.saliency[:, None], before.logits, after.logits[:, None], step.same[:, None])
    numbers = {
        "intersection": float(top_k_intersection(before.saliency, after.saliency, k=budget.k)),
        "ssim": float(ssim_clean(before.saliency, after.saliency)),
        "ros": float(ros.value),
    }
    found = Map("gradient", _plain(after.saliency[0, 0]), numbers)
    explained = int(before.logits.argmax(1))
    return View(model.name, _plain(step.images[0]), untouched, _probabilities(after.logits), explained, (found,))


def _probabilities(logits: Tensor) -> NDArray[np.float64]:
    found: NDArray[np.float64] = logits[0].double().softmax(0).cpu().numpy()
    return found


def _plain(values: Tensor) -> NDArray[np.float32]:
    found: NDArray[np.float32] = values.detach().float().cpu().numpy()
    return found
