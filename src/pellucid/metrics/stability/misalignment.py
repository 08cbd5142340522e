"""Misalignment as a metric: the angle between an image's gradient and those of its perturbed copies."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from pellucid.errors import BadInput
from pellucid.metrics.stability.cosine import cosine
from pellucid.regularisers.misalignment import gradient_field, relative_variation
from pellucid.types import Image

UNDEFINED = 1e-10
"""Gradients shorter than this share of the longest one of their image's copies have no direction (definitions §3.1)."""


class Misalignments(NamedTuple):
    """MA-1 and MA-3 of each image, [B] float64 each, from the same gradients."""

    angular: Tensor
    relative: Tensor


def misalignments(model: nn.Module, x: Image, *, noise: Tensor) -> Misalignments:
    """MA-1 and MA-3 of each image at the cost of one (our reading of T2E, definitions §3); ↓.

    MA-1 is the mean of ½·(1 - cos) over the noisy copies, MA-3 that of ½·‖a - b‖²/(‖a‖² + ‖b‖²).

    Parameters
    ----------
    model
        In eval mode; the field is the gradient of the centred logit of the class it predicts for the image itself.
    x
        Images [B, C, H, W] in [0, 1].
    noise
        [B, S, C, H, W], added as it is. Definitions: S = 16 draws of N(0, σ²).

    Returns
    -------
    Misalignments
        In [0, 1]; the scale of the logits does not change them. NaN where the gradient is 0 at the image or at every
        copy; a copy without a gradient is left out. Cost: S + 1 forward and backward passes.
    """
    own, others = _fields(model, x, noise)
    pairs = own[:, None].expand_as(others).flatten(0, 1), others.flatten(0, 1)
    values = (1 - cosine(*pairs)) / 2, relative_variation(*pairs)
    return Misalignments(*(_mean_over_copies(one, own, others) for one in values))


def misalignment(model: nn.Module, x: Image, *, noise: Tensor) -> Tensor:
    """MA-1 alone: see :func:`misalignments`."""
    return misalignments(model, x, noise=noise).angular


def relative_misalignment(model: nn.Module, x: Image, *, noise: Tensor) -> Tensor:
    """MA-3 alone: see :func:`misalignments`."""
    return misalignments(model, x, noise=noise).relative


def _fields(model: nn.Module, x: Image, noise: Tensor) -> tuple[Tensor, Tensor]:
    """g(x) [B, D] and g(x + noise) [B, S, D] in float64, divided by the largest entry of both."""
    if noise.ndim != 5 or noise.shape[0] != len(x) or noise.shape[2:] != x.shape[1:]:
        raise BadInput(f"images {list(x.shape)} need noise [B, S, C, H, W]; got {list(noise.shape)}")
    copies = torch.cat([x[:, None], x[:, None] + noise], 1).transpose(0, 1)
    field = gradient_field(model, copies.flatten(0, 1), copies=len(copies), create_graph=False)
    field = field.double().unflatten(0, copies.shape[:2]).flatten(2).transpose(0, 1)
    peak = field.abs().amax((1, 2), keepdim=True)
    field = field / torch.where(peak == 0, 1.0, peak)
    return field[:, 0], field[:, 1:]


def _mean_over_copies(values: Tensor, own: Tensor, others: Tensor) -> Tensor:
    defined = (own.norm(dim=1) >= UNDEFINED)[:, None] & (others.norm(dim=2) >= UNDEFINED)
    return values.view(defined.shape).masked_fill(~defined, float("nan")).nanmean(1)
