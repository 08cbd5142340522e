"""Weighted sums of gradients at many points per image, in passes of bounded size."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from pellucid.errors import BadInput
from pellucid.gradients import input_gradient, logit_of
from pellucid.types import Attribution, Image, Labels

CHUNK = 128
"""Images per forward pass unless asked otherwise: the batch size these models are trained at."""

NUMBERS = 2**21
"""Pixel values in such a pass at most, but at least one image: 13 of 224×224×3 (a ResNet-18 keeps a gigabyte)."""

Points = Callable[[slice, slice], Tensor]
"""Maps a slice of the batch (b images) and a slice of the steps (k steps) to the points [k, b, C, H, W]."""


def weighted_gradient(
    model: Callable[[Image], Tensor],
    target: Labels,
    points: Points,
    weights: Sequence[float],
    *,
    chunk: int,
    create_graph: bool = False,
) -> Attribution:
    """Σ_s weights[s] · ∂z_target/∂x at points[s], for each image.

    At most `chunk` points exist at a time, each costs one forward and one input-gradient pass. Every image adds up its
    steps in their own order, so that `chunk` decides about memory and speed only. With `create_graph` all graphs are
    kept, and memory grows with the number of steps.

    Returns
    -------
    Attribution
        [B, C, H, W].
    """
    if chunk < 1:
        raise BadInput(f"chunk, the number of images per forward pass, must be at least 1; got {chunk}")
    sums = []
    for images in _slices(len(target), chunk):
        labels = target[images]
        total: Tensor | None = None
        for steps in _slices(len(weights), max(1, chunk // max(1, len(labels)))):
            at = points(images, steps)
            score = logit_of(labels.repeat(at.shape[0]))
            slopes = input_gradient(model, at.flatten(0, 1), score, create_graph=create_graph)[1].view_as(at)
            for weight, slope in zip(weights[steps], slopes, strict=True):
                total = weight * slope if total is None else total.add_(slope, alpha=weight)
        assert total is not None  # there is at least one step
        sums.append(total)
    return torch.cat(sums)


def images_at_once(x: Image) -> int:
    """How many images of the size of those in `x` go through a model together, unless asked otherwise."""
    return max(1, min(CHUNK, NUMBERS // max(1, x.shape[1:].numel())))


def _slices(length: int, size: int) -> Iterator[slice]:
    """Cut range(length) into slices of at most `size`; one empty slice where there is nothing to cut."""
    return (slice(start, start + size) for start in range(0, max(length, 1), size))
