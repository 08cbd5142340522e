"""The measurements as the published T3S code makes them (definitions §4), for one loader batch of at most 32 images.

The batch's model and images are those of the space that the published code works in: there it adds its noise, clips to
[0, 1] (D-M4) and takes its gradients.
"""

from collections.abc import Callable

from pellucid.experiments.suite.batch import Batch
from pellucid.experiments.suite.headline import (
    NOISE_LEVELS,
    ROS_DRAWS,
    Measurement,
    Row,
    noisy,
    per_level,
    stability_row,
)
from pellucid.metrics.sparsity.gini import gini_legacy
from pellucid.metrics.stability.noise import one_sided_noise
from pellucid.metrics.stability.ros import ros_quantus
from pellucid.metrics.stability.ssim import ssim_legacy

LOADER_BATCH = 32
"""The published loaders' batch: the legacy Gini depends on it (D-M3)."""


def _gini_legacy(batch: Batch, _: int) -> Row:
    return {"gini_legacy": gini_legacy(batch.saliency)}


def _ssim_legacy(batch: Batch, seed: int) -> Row:
    return {"ssim_legacy": per_level(ssim_legacy, batch.saliency, batch.perturbed(noisy(batch, seed)))}


def _ros_quantus(batch: Batch, seed: int) -> Row:
    uniform = batch.uniform((ROS_DRAWS["ros_quantus"], *batch.x.shape[1:]), seed, "ros legacy")
    return stability_row(
        "ros_quantus", ros_quantus, batch, batch.x[:, None] + one_sided_noise(uniform, skip_first=True)
    )


def _road_legacy(batch: Batch, seed: int) -> Row:
    (curve,) = batch.road(seed, batch.saliency)
    return {"road_legacy": curve}


LEGACY: dict[str, Callable[[Batch, int], Row]] = {
    "gini": _gini_legacy,  # of the whole loader batch
    "ssim": Measurement(_ssim_legacy, len(NOISE_LEVELS)),
    "ros": Measurement(_ros_quantus, ROS_DRAWS["ros_quantus"]),
    "road": Measurement(_road_legacy),
}
