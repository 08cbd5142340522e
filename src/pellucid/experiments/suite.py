"""The measurements of one batch of images by one attribution: a dictionary of per-image values.

`clean` works in pixel space with scale-free metrics; `legacy` repeats the published pipeline, for most data sets behind
the model's normalisation layer, where the published code works (definitions §4). Undefined values are NaN.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn

from pellucid import attributions
from pellucid.attributions.reduction import reduction_of, saliency_map
from pellucid.gradients import centred_logit_of, input_gradient
from pellucid.metrics.faithfulness.road import ROAD_PERCENTAGES, road_curve, tie_share
from pellucid.metrics.sparsity.gini import gini, gini_legacy
from pellucid.metrics.stability.cosine import cosine
from pellucid.metrics.stability.noise import one_sided_noise, symmetric_noise
from pellucid.metrics.stability.ros import Ros, ros_norm, ros_quantus
from pellucid.metrics.stability.spearman import spearman
from pellucid.metrics.stability.ssim import ssim_clean, ssim_legacy
from pellucid.naming import find, options_of
from pellucid.randomness import normal_per_image, uniform_per_image
from pellucid.types import Image, Labels, Saliency

NOISE_LEVELS = (0.01, 0.03, 0.05, 0.07, 0.09, 0.1, 0.15, 0.2)
ROS_DRAWS = {"ros_norm": 16, "ros_quantus": 5}
LOADER_BATCH = 32
"""The published loaders' batch: the legacy Gini depends on it (D-M3)."""
Row = dict[str, Tensor]


@dataclass(frozen=True)
class Explainer:
    """An attribution with its options, and the way its saliency map is made.

    Attributes
    ----------
    draws
        Noisy copies per image, for attributions that take a ``noise`` tensor (SmoothGrad); else 0.
    """

    name: str
    function: Callable[..., Tensor]
    options: dict[str, Any]
    draws: int = 0

    @property
    def shown(self) -> dict[str, Any]:
        """The options that a reader of the numbers needs."""
        kept = {
            key: value for key, value in self.options.items() if key != "chunk" and isinstance(value, int | float | str)
        }
        return kept | ({"draws": self.draws} if self.draws else {})

    def attribution(self, model: nn.Module, x: Image, target: Labels, ids: Sequence[int]) -> Tensor:
        """[B, C, H, W], signed; `ids` name the images, for per-image noise."""
        noise = {}
        if self.draws:
            noise["noise"] = normal_per_image(ids, (self.draws, *x.shape[1:]), seed=0, stream=self.name).to(x)
        return self.function(model, x, target, **self.options, **noise)

    def __call__(self, model: nn.Module, x: Image, target: Labels, ids: Sequence[int]) -> Saliency:
        """[B, 1, H, W]."""
        return saliency_map(self.attribution(model, x, target, ids), reduction_of(self.function))


SMOOTH_GRAD = {"sigma": 0.15, "draws": 16}
"""SmoothGrad's own advice: noise of 10 to 20 % of the pixel range (Smilkov et al. 2017)."""


def explainer(name: str, options: dict[str, Any] | None = None) -> Explainer:
    """The attribution called `name` with checked options (``draws`` is one where the attribution takes noise)."""
    function = find(attributions, name, "attribution")
    given = dict(options or {})
    draws = 0
    if "noise" in signature(function).parameters:
        given = SMOOTH_GRAD | given
        draws = given.pop("draws")
    checked = options_of(function, given, where=f"attribution '{name}'", supplied={"create_graph", "noise"})
    return Explainer(function.__name__, function, checked, draws)


@dataclass(frozen=True)
class Perturbed:
    """S perturbed copies of each image: maps [B, S, 1, H, W], logits [B, S, K], prediction still the label [B, S]."""

    maps: Tensor
    logits: Tensor
    same: Tensor


@dataclass(frozen=True)
class Batch:
    """Images [B, C, H, W] that the model classifies as `y` [B], named by `ids`, and one way to explain them."""

    model: nn.Module
    x: Image
    y: Labels
    ids: Sequence[int]
    explain: Explainer

    @cached_property
    def logits(self) -> Tensor:
        """[B, K]."""
        with torch.no_grad():
            return self.model(self.x)  # type: ignore[no-any-return]

    @cached_property
    def attribution(self) -> Tensor:
        """[B, C, H, W]."""
        return self.explain.attribution(self.model, self.x, self.y, self.ids)

    @cached_property
    def saliency(self) -> Saliency:
        """[B, 1, H, W]."""
        return saliency_map(self.attribution, reduction_of(self.explain.function))

    def perturbed(self, copies: Tensor) -> Perturbed:
        """Explain perturbed copies [B, S, C, H, W] of the images, for the same class."""
        shape = copies.shape[:2]
        flat, target = copies.flatten(0, 1), self.y.repeat_interleave(shape[1])
        with torch.no_grad():
            logits = self.model(flat)
        maps = self.explain(self.model, flat, target, [i for i in self.ids for _ in range(shape[1])])
        same = logits.argmax(1) == target
        return Perturbed(maps.unflatten(0, shape), logits.unflatten(0, shape), same.view(shape))

    def normal(self, shape: Sequence[int], seed: int, stream: str) -> Tensor:
        """Standard normal noise [B, *shape], per image."""
        return normal_per_image(self.ids, shape, seed=seed, stream=stream).to(self.x)

    def uniform(self, shape: Sequence[int], seed: int, stream: str) -> Tensor:
        """Uniform noise on [0, 1), [B, *shape], per image."""
        return uniform_per_image(self.ids, shape, seed=seed, stream=stream).to(self.x)


def clean(batch: Batch, metrics: Sequence[str], seed: int) -> Row:
    """The `clean` measurements named in `metrics`, one value or one list of values per image."""
    flat = batch.saliency.abs().flatten(1)
    row = {"scale": flat.amax(1), "zero_map": (flat == 0).all(1), "ties": tie_share(batch.saliency)}
    for metric in metrics:
        row |= CLEAN[metric](batch, seed)
    return row


def legacy(batch: Batch, metrics: Sequence[str], seed: int) -> Row:
    """The measurements as the published code makes them, for one loader batch of at most 32 images.

    The batch's model and images are those of the space that the published code works in: there it adds its noise, clips
    to [0, 1] (D-M4) and takes its gradients.
    """
    row: Row = {}
    for metric in metrics:
        row |= LEGACY[metric](batch, seed)
    return row


def _gini(batch: Batch, _: int) -> Row:
    row = {"gini": gini(batch.saliency), "gini_all_entries": gini(batch.attribution)}
    if batch.explain.name == "gradient":
        centred = input_gradient(batch.model, batch.x, centred_logit_of(batch.y))[1]
        row["gini_centred"] = gini(saliency_map(centred, "absolute"))
    return row


def _gini_legacy(batch: Batch, _: int) -> Row:
    return {"gini_legacy": gini_legacy(batch.saliency)}


def _similarity(batch: Batch, seed: int) -> Row:
    perturbed = batch.perturbed(_noisy(batch, seed))
    compare = {"ssim": ssim_clean, "spearman": spearman, "cosine": cosine}
    return {name: _per_level(function, batch.saliency, perturbed) for name, function in compare.items()}


def _ssim_legacy(batch: Batch, seed: int) -> Row:
    return {"ssim_legacy": _per_level(ssim_legacy, batch.saliency, batch.perturbed(_noisy(batch, seed)))}


def _noisy(batch: Batch, seed: int) -> Tensor:
    """Normal noise of every level, clipped to [0, 1]: of pixels in the clean suite, of normalised values in legacy."""
    levels = torch.tensor(NOISE_LEVELS, dtype=batch.x.dtype, device=batch.x.device)[:, None, None, None]
    noise = batch.normal((len(NOISE_LEVELS), *batch.x.shape[1:]), seed, "ssim")
    return (batch.x[:, None] + levels * noise).clamp(0, 1)


def _per_level(compare: Callable[[Tensor, Tensor], Tensor], saliency: Saliency, perturbed: Perturbed) -> Tensor:
    """[B, S]: the map against each perturbed map, NaN where the prediction changed."""
    first = saliency[:, None].expand_as(perturbed.maps).flatten(0, 1)
    values = compare(first, perturbed.maps.flatten(0, 1)).view(perturbed.same.shape)
    return values.masked_fill(~perturbed.same, float("nan"))


def _ros_norm(batch: Batch, seed: int) -> Row:
    uniform = batch.uniform((ROS_DRAWS["ros_norm"], *batch.x.shape[1:]), seed, "ros")
    # Symmetric and kept inside the pixel range, unlike the published one-sided noise (definitions §4.3).
    copies = (batch.x[:, None] + symmetric_noise(uniform)).clamp(0, 1)
    return _stability("ros_norm", ros_norm, batch, copies)


def _ros_quantus(batch: Batch, seed: int) -> Row:
    uniform = batch.uniform((ROS_DRAWS["ros_quantus"], *batch.x.shape[1:]), seed, "ros legacy")
    return _stability("ros_quantus", ros_quantus, batch, batch.x[:, None] + one_sided_noise(uniform, skip_first=True))


def _stability(name: str, metric: Callable[..., Ros], batch: Batch, copies: Tensor) -> Row:
    other = batch.perturbed(copies)
    found = metric(batch.saliency, other.maps, batch.logits, other.logits, other.same)
    return {
        name: found.value,
        f"{name}_numerator": found.numerator,
        f"{name}_denominator": found.denominator,
        f"{name}_valid_draws": found.valid_draws,
    }


def _road(batch: Batch, seed: int) -> Row:
    noise = batch.normal(batch.x.shape[1:], seed, "road")
    row = {"road": road_curve(batch.model, batch.x, batch.y, batch.saliency, noise=noise)}
    if batch.explain.name == "gradient":  # the control does not depend on the attribution
        random = batch.uniform(batch.saliency.shape[1:], seed, "random map")
        row["road_random"] = road_curve(batch.model, batch.x, batch.y, random, noise=noise)
    return row


def _road_legacy(batch: Batch, seed: int) -> Row:
    noise = batch.normal(batch.x.shape[1:], seed, "road")
    return {"road_legacy": road_curve(batch.model, batch.x, batch.y, batch.saliency, noise=noise)}


CLEAN = {"gini": _gini, "ssim": _similarity, "ros": _ros_norm, "road": _road}
LEGACY = {"gini": _gini_legacy, "ssim": _ssim_legacy, "ros": _ros_quantus, "road": _road_legacy}
METRICS = tuple(CLEAN)


def images_per_batch(x: Image) -> int:
    """How many images to measure at once, so that the perturbed copies of a batch stay near 30 million numbers."""
    return max(1, min(64, 30_000_000 // (x[0].numel() * ROS_DRAWS["ros_norm"] * 16)))


__all__ = [
    "LOADER_BATCH",
    "METRICS",
    "NOISE_LEVELS",
    "ROAD_PERCENTAGES",
    "ROS_DRAWS",
    "Batch",
    "Explainer",
    "clean",
    "explainer",
    "legacy",
]
