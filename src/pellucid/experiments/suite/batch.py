"""The images of one batch and what all metrics need of them: each pass is made once."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor, nn

from pellucid.attributions.reduction import reduction_of, saliency_map
from pellucid.attributions.weighted import CHUNK
from pellucid.experiments.suite.explainer import Explainer
from pellucid.gradients import centred_logit_of, gradient_of, logit_of
from pellucid.metrics.faithfulness.road import road_curve
from pellucid.randomness import normal_per_image, uniform_per_image
from pellucid.types import Image, Labels, Saliency


@dataclass(frozen=True)
class Perturbed:
    """S perturbed copies of each image: maps [B, S, 1, H, W], logits [B, S, K], prediction still the label [B, S]."""

    maps: Tensor
    logits: Tensor
    same: Tensor


@dataclass(frozen=True)
class Batch:
    """Images [B, C, H, W] that the model classifies as `y` [B], named by `ids`, and one way to explain them.

    Attributes
    ----------
    attention
        Maps [B, 1, H, W] in [0, 1] of where people look, or where the truth is known to lie; None if there are none.
    mean_pixel
        Mean of the training images' pixels: what a masked pixel becomes.
    chunk
        Images in one pass through the model at most: memory, not the numbers, depends on it.
    """

    model: nn.Module
    x: Image
    y: Labels
    ids: Sequence[int]
    explain: Explainer
    attention: Tensor | None = None
    mean_pixel: float = 0.5
    chunk: int = CHUNK

    @cached_property
    def explained(self) -> tuple[Tensor, Tensor]:
        """Attribution [B, C, H, W] and logits [B, K]."""
        return self._explained(self.x, self.y, self.ids)

    @cached_property
    def centred(self) -> Tensor:
        """Gradient of the centred logit [B, C, H, W]; the gradient itself, if that is explained, comes with it."""
        parts = [slice(start, start + self.chunk) for start in range(0, len(self.x), self.chunk)]
        found = [self._both_gradients(self.x[part], self.y[part]) for part in parts]
        logits, plain, centred = (torch.cat(parts) for parts in zip(*found, strict=True))
        if self.explain.name == "gradient":
            vars(self).setdefault("explained", (plain, logits))
        return centred

    def _both_gradients(self, x: Image, y: Labels) -> tuple[Tensor, Tensor, Tensor]:
        """Logits, and the gradients of the plain and the centred logit, from one forward pass."""
        leaf = x.detach().requires_grad_(True)
        with torch.enable_grad():
            logits = self.model(leaf)
            plain, centred = (gradient_of(score(y)(logits), leaf) for score in (logit_of, centred_logit_of))
        return logits.detach(), plain, centred

    @property
    def logits(self) -> Tensor:
        """[B, K]."""
        return self.explained[1]

    @property
    def attribution(self) -> Tensor:
        """[B, C, H, W]."""
        return self.explained[0]

    @cached_property
    def saliency(self) -> Saliency:
        """[B, 1, H, W]."""
        return saliency_map(self.attribution, reduction_of(self.explain.function))

    def road(self, seed: int, *maps: Saliency) -> list[Tensor]:
        """Of each map, whether the images are still `y` with its most relevant pixels imputed [B, L]; one noise."""
        noise = self.normal(self.x.shape[1:], seed, "road")
        return [road_curve(self.predict, self.x, self.y, one, noise=noise) for one in maps]

    def predict(self, x: Image) -> Tensor:
        """Logits of any images, `chunk` at a time."""
        return torch.cat([self.model(part) for part in x.split(self.chunk)])

    def split(self, copies: int) -> "list[Batch]":
        """Batches of so few images that `copies` of each go through the model at once, or copies of one image."""
        size = max(1, self.chunk // copies)
        if size >= len(self.x):
            return [self]
        return [self._part(slice(start, start + size)) for start in range(0, len(self.x), size)]

    def _part(self, chosen: slice) -> "Batch":
        maps = None if self.attention is None else self.attention[chosen]
        part = replace(self, x=self.x[chosen], y=self.y[chosen], ids=self.ids[chosen], attention=maps)
        vars(part)["explained"] = tuple(found[chosen] for found in self.explained)  # the passes are not made again
        if "centred" in vars(self):
            vars(part)["centred"] = self.centred[chosen]
        return part

    def perturbed(self, copies: Tensor) -> Perturbed:
        """Explain perturbed copies [B, S, C, H, W] of the images, for the same class."""
        shape = copies.shape[:2]
        flat, target = copies.flatten(0, 1), self.y.repeat_interleave(shape[1])
        attribution, logits = self._explained(flat, target, [i for i in self.ids for _ in range(shape[1])])
        maps = saliency_map(attribution, reduction_of(self.explain.function))
        same = logits.argmax(1) == target
        return Perturbed(maps.unflatten(0, shape), logits.unflatten(0, shape), same.view(shape))

    def _explained(self, x: Image, target: Labels, ids: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Attribution and logits, `chunk` images (or points of one explanation) at a time."""
        size = max(1, self.chunk // max(1, self.explain.draws))
        parts = [slice(start, start + size) for start in range(0, len(x), size)]
        found = [self._explained_at_once(x[part], target[part], ids[part]) for part in parts]
        attribution, logits = (torch.cat(parts) for parts in zip(*found, strict=True))
        return attribution, logits

    def _explained_at_once(self, x: Image, target: Labels, ids: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Attribution and logits; an attribution that passes the images themselves through the model saves a pass."""
        seen: list[Tensor] = []

        def look(_: nn.Module, inputs: tuple[Tensor, ...], logits: Tensor) -> None:
            if inputs[0].data_ptr() == x.data_ptr() and inputs[0].shape == x.shape:
                seen.append(logits.detach())

        hook = self.model.register_forward_hook(look)
        try:
            attribution = self.explain.within(self.chunk).attribution(self.model, x, target, ids)
            if not seen:
                with torch.no_grad():
                    self.model(x)
        finally:
            hook.remove()
        return attribution, seen[0]

    def normal(self, shape: Sequence[int], seed: int, stream: str) -> Tensor:
        """Standard normal noise [B, *shape], per image."""
        return normal_per_image(self.ids, shape, seed=seed, stream=stream).to(self.x)

    def uniform(self, shape: Sequence[int], seed: int, stream: str) -> Tensor:
        """Uniform noise on [0, 1), [B, *shape], per image."""
        return uniform_per_image(self.ids, shape, seed=seed, stream=stream).to(self.x)
