"""The measurements of one batch of images by one attribution: a dictionary of per-image values."""

from collections.abc import Sequence

from pellucid.experiments.suite.batch import Batch
from pellucid.experiments.suite.capacity import images_per_pass, images_per_unit
from pellucid.experiments.suite.evidence import DIFFROAD_LEVELS, EVIDENCE, HELD_OUT
from pellucid.experiments.suite.explainer import Explainer, explainer
from pellucid.experiments.suite.headline import HEADLINE, NOISE_LEVELS, ROS_DRAWS, Row
from pellucid.experiments.suite.legacy import LEGACY, LOADER_BATCH
from pellucid.memory_format import fast_memory_format
from pellucid.metrics.faithfulness.road import ROAD_PERCENTAGES, tie_share

METRICS = tuple(HEADLINE)
"""What is measured unless something else is asked for."""
ALL_METRICS = (*METRICS, *EVIDENCE)


def clean(batch: Batch, metrics: Sequence[str], seed: int) -> Row:
    """The measurements named in `metrics`, and a few facts about the map itself."""
    with fast_memory_format(batch.model, batch.x):
        return _clean(batch, metrics, seed)


def legacy(batch: Batch, metrics: Sequence[str], seed: int) -> Row:
    """The measurements named in `metrics`, of those that the published code makes."""
    row: Row = {}
    with fast_memory_format(batch.model, batch.x):
        for metric in metrics:
            if metric in LEGACY:
                row |= LEGACY[metric](batch, seed)
    return row


def _clean(batch: Batch, metrics: Sequence[str], seed: int) -> Row:
    if "gini" in metrics and batch.explain.name == "gradient":
        _ = batch.centred  # asked for first, it shares a forward pass with the gradient
    flat = batch.saliency.abs().flatten(1)
    row: Row = {"scale": flat.amax(1), "zero_map": (flat == 0).all(1), "ties": tie_share(batch.saliency)}
    for metric in metrics:
        row |= (HEADLINE | EVIDENCE)[metric](batch, seed)
    return row


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
    "images_per_pass",
    "images_per_unit",
    "legacy",
]
