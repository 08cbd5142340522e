"""The measurements that every run gets, in pixel space and free of scale (definitions §4).

One value or list of values per image, NaN where undefined.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.attributions.reduction import saliency_map
from pellucid.experiments.suite.batch import Batch, Perturbed
from pellucid.metrics.sparsity.gini import gini
from pellucid.metrics.stability.cosine import cosine
from pellucid.metrics.stability.noise import symmetric_noise
from pellucid.metrics.stability.ros import Ros, ros_norm
from pellucid.metrics.stability.spearman import spearman
from pellucid.metrics.stability.ssim import ssim_clean
from pellucid.types import Saliency

NOISE_LEVELS = (0.01, 0.03, 0.05, 0.07, 0.09, 0.1, 0.15, 0.2)
ROS_DRAWS = {"ros_norm": 16, "ros_quantus": 5}
Row = dict[str, Tensor]


@dataclass(frozen=True)
class Measurement:
    """A function of a batch and a seed, and how many copies of an image it has in hand at once."""

    function: Callable[[Batch, int], Row]
    copies: int = 1

    def __call__(self, batch: Batch, seed: int) -> Row:
        """The row of the batch, measured in parts that bound the memory."""
        rows = [self.function(part, seed) for part in batch.split(self.copies)]
        return {name: torch.cat([row[name] for row in rows]) for name in rows[0]}


def sparsity_row(batch: Batch, _: int) -> Row:
    """Gini of the map, of all entries, and for gradients of the centred logit's map."""
    row = {"gini": gini(batch.saliency), "gini_all_entries": gini(batch.attribution)}
    if batch.explain.name == "gradient":
        row["gini_centred"] = gini(saliency_map(batch.centred, "absolute"))
    return row


def similarity_row(batch: Batch, seed: int) -> Row:
    """SSIM, Spearman and cosine of the map and the map under Gaussian noise of every level."""
    perturbed = batch.perturbed(noisy(batch, seed))
    compare = {"ssim": ssim_clean, "spearman": spearman, "cosine": cosine}
    return {name: per_level(function, batch.saliency, perturbed) for name, function in compare.items()}


def noisy(batch: Batch, seed: int) -> Tensor:
    """Normal noise of every level, clipped to [0, 1]: of pixels in the clean suite, of normalised values in legacy."""
    levels = torch.tensor(NOISE_LEVELS, dtype=batch.x.dtype, device=batch.x.device)[:, None, None, None]
    noise = batch.normal((len(NOISE_LEVELS), *batch.x.shape[1:]), seed, "ssim")
    return (batch.x[:, None] + levels * noise).clamp(0, 1)


def per_level(compare: Callable[[Tensor, Tensor], Tensor], saliency: Saliency, perturbed: Perturbed) -> Tensor:
    """[B, S]: the map against each perturbed map, NaN where the prediction changed."""
    return compare(saliency, perturbed.maps).masked_fill(~perturbed.same, float("nan"))


def ros_row(batch: Batch, seed: int) -> Row:
    """Relative output stability in its norm-wise form."""
    uniform = batch.uniform((ROS_DRAWS["ros_norm"], *batch.x.shape[1:]), seed, "ros")
    # Symmetric and kept inside the pixel range, unlike the published one-sided noise (definitions §4.3).
    copies = (batch.x[:, None] + symmetric_noise(uniform)).clamp(0, 1)
    return stability_row("ros_norm", ros_norm, batch, copies)


def stability_row(name: str, metric: Callable[..., Ros], batch: Batch, copies: Tensor) -> Row:
    """A form of relative output stability on copies [B, S, C, H, W], with its two halves and its valid draws."""
    other = batch.perturbed(copies)
    found = metric(batch.saliency, other.maps, batch.logits, other.logits, other.same)
    return {
        name: found.value,
        f"{name}_numerator": found.numerator,
        f"{name}_denominator": found.denominator,
        f"{name}_valid_draws": found.valid_draws,
    }


def road_row(batch: Batch, seed: int) -> Row:
    """Still correct with the most relevant pixels imputed; and, once a run, with random ones."""
    maps = {"road": batch.saliency}
    if batch.explain.name == "gradient":  # the control does not depend on the attribution
        maps["road_random"] = batch.uniform(batch.saliency.shape[1:], seed, "random map")
    return dict(zip(maps, batch.road(seed, *maps.values()), strict=True))


HEADLINE = {
    "gini": Measurement(sparsity_row),
    "ssim": Measurement(similarity_row, len(NOISE_LEVELS)),
    "ros": Measurement(ros_row, ROS_DRAWS["ros_norm"]),
    "road": Measurement(road_row),
}
