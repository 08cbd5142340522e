"""The pictures of a report, made while the model is at hand."""

import io
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from pellucid.data.dataset import Dataset
from pellucid.experiments.measure.runs import Loaded
from pellucid.experiments.measure.settings import MeasureSettings
from pellucid.experiments.suite import explainer
from pellucid.models.smoothing import SmoothBlock
from pellucid.training.step import to_device

EXAMPLES = 8
THUMBNAIL = 48
"""Pixels that the longer side of a thumbnail has at most."""


def examples(run: Loaded, subset: Dataset, settings: MeasureSettings, chunk: int) -> bytes:
    """The pictures of a report: one image of each class, its maps, and one image's feature maps around the block."""
    first = [int((subset.labels == label).nonzero()[0]) for label in subset.labels.unique()][:EXAMPLES]
    x, y = to_device(subset.batch(first), run.model)
    arrays = {
        "ids": subset.ids[first].numpy(),
        "labels": subset.labels[first].numpy(),
        "images": x.float().cpu().numpy(),
    }
    for attribution in settings.attributions:
        maps = explainer(attribution).within(chunk)(run.model, x, y, arrays["ids"].tolist())
        arrays[f"map:{attribution}"] = maps.squeeze(1).float().cpu().numpy()
    arrays |= {f"features:{side}": maps for side, maps in _feature_maps(run.model, x[:1]).items()}
    return _packed(arrays)


def thumbnails(subset: Dataset) -> bytes:
    """Every measured image in small, so that a report can show the ones that drive a difference."""
    small = [_small(images).permute(0, 2, 3, 1).numpy() for images in subset.images.split(1)]
    return _packed({"ids": subset.ids.numpy(), "images": np.concatenate(small)})


def _small(images: Tensor) -> Tensor:
    """Bytes [1, C, H, W] with at most THUMBNAIL pixels a side."""
    scale = THUMBNAIL / max(images.shape[2:])
    if scale >= 1:
        return images
    size = [max(1, round(side * scale)) for side in images.shape[2:]]
    return interpolate(images.float(), size, mode="area").round().to(torch.uint8)


def _packed(arrays: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def _feature_maps(model: nn.Module, x: Tensor) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    blocks = [module for module in model.modules() if isinstance(module, SmoothBlock)]
    if not blocks:
        return seen

    def look(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        seen["before"], seen["after"] = (maps[0, :8].float().cpu().numpy() for maps in (inputs[0], output))

    handle = blocks[0].register_forward_hook(look)
    try:
        with torch.no_grad():
            model(x)
    finally:
        handle.remove()
    return seen
