"""The measurements of one batch of images by one attribution: a dictionary of per-image values."""

from collections.abc import Sequence

from pellucid.experiments.suite.batch import Batch
from pellucid.experiments.suite.evidence import DIFFROAD_LEVELS, EVIDENCE, HELD_OUT
from pellucid.experiments.suite.explainer import Explainer, explainer
from pellucid.experiments.suite.headline import HEADLINE, NOISE_LEVELS, ROS_DRAWS, Row
from pellucid.experiments.suite.legacy import LOADER_BATCH, legacy
from pellucid.metrics.faithfulness.road import ROAD_PERCENTAGES, tie_share
from pellucid.types import Image

METRICS = tuple(HEADLINE)
"""What is measured unless something else is asked for."""
ALL_METRICS = (*METRICS, *EVIDENCE)


def clean(batch: Batch, metrics: Sequence[str], seed: int) -> Row:
    """The measurements named in `metrics`, and a few facts about the map itself."""
    flat = batch.saliency.abs().flatten(1)
    row: Row = {"scale": flat.amax(1), "zero_map": (flat == 0).all(1), "ties": tie_share(batch.saliency)}
    for metric in metrics:
        row |= (HEADLINE | EVIDENCE)[metric](batch, seed)
    return row


def images_per_batch(x: Image) -> int:
    """How many images to measure at once, so that the perturbed copies of a batch stay near 30 million numbers."""
    return max(1, min(64, 30_000_000 // (x[0].numel() * ROS_DRAWS["ros_norm"] * 16)))


__all__ = [
    "ALL_METRICS",
    "DIFFROAD_LEVELS",
    "HELD_OUT",
    "LOADER_BATCH",
    "METRICS",
    "NOISE_LEVELS",
    "ROAD_PERCENTAGES",
    "ROS_DRAWS",
    "Batch",
    "Explainer",
    "clean",
    "explainer",
    "images_per_batch",
    "legacy",
]
