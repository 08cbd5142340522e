"""Misalignment of the gradient field: how far the gradients of neighbouring inputs point in different directions.

Train2Explain ("Misalignment Attribution") is public as an abstract only. What follows is our reading of it
(definitions §3), never the paper's own definition. The field is g = ∇ₓ(z_ŷ - mean z), with ŷ the predicted class of the
image itself, for its neighbours too: it needs no label, so a wrong label cannot turn it round, and it does not feel
what the softmax does not feel.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from pellucid.errors import BadInput
from pellucid.gradients import input_gradient
from pellucid.modes import mode, unwrapped
from pellucid.naming import Count, NonNegative
from pellucid.types import Image, Labels, check_images

TAU, FLOOR = 1e-8, 1e-12
"""Added to products of two lengths, and to squared lengths below a root (definitions §3)."""


def angular(first: Tensor, second: Tensor) -> Tensor:
    """½·(1 - cos) of two gradients, image by image (MA-1): 0 parallel, ½ orthogonal, 1 opposite.

    Parameters
    ----------
    first, second
        [B, …] of one shape.

    Returns
    -------
    Tensor
        [B] in [0, 1], differentiable everywhere. Two gradients of zero give ½: vanishing is not rewarded.
    """
    a, b = first.flatten(1), second.flatten(1)
    return (1 - (a * b).sum(1) / (_length(a) * _length(b) + TAU)) / 2


def relative_variation(first: Tensor, second: Tensor) -> Tensor:
    """½·‖a - b‖² / (‖a‖² + ‖b‖²) of two gradients, image by image (MA-3): direction and length.

    Parameters
    ----------
    first, second
        [B, …] of one shape.

    Returns
    -------
    Tensor
        [B] in [0, 1]: 0 equal, ½ orthogonal, 1 opposite and equally long. Two gradients of zero give 0.
    """
    a, b = first.flatten(1), second.flatten(1)
    return (a - b).square().sum(1) / (a.square().sum(1) + b.square().sum(1) + TAU) / 2


def neighbour_consensus(x: Tensor, field: Tensor, k: int = 8) -> Tensor:
    """½·(1 - cos) of each gradient and the consensus of its k nearest neighbours in the batch (MA-2).

    The consensus, the mean of the neighbours' directions with weights exp(-d²/2h²), h the median distance of a
    neighbour in the batch, is a constant: no gradient flows into it. It depends on the batch by definition.

    Parameters
    ----------
    x, field
        Inputs and the gradients there, [B, …] of one shape.
    k
        Neighbours; all others of the batch if it holds fewer.

    Returns
    -------
    Tensor
        [B] in [0, 1]; ½ where the neighbours cancel, or where there is none.
    """
    points, directions = x.detach().flatten(1), field.flatten(1) / _length(field.flatten(1))[:, None]
    k = min(k, len(points) - 1)
    if k < 1:
        return torch.full_like(directions[:, 0], 0.5) + 0 * directions.sum(1)
    distances = torch.cdist(points, points).fill_diagonal_(float("inf"))
    near, who = distances.topk(k, largest=False)
    width = near.median().clamp_min(torch.finfo(near.dtype).tiny ** 0.5)  # copies of one image have distance 0
    near = near / width
    # Relative to the nearest: far from all others every exp(-d²/2h²) would underflow, and their mean with them.
    weights = torch.exp((near[:, :1] - near) * (near[:, :1] + near) / 2)
    consensus = normalize((weights[:, :, None] * directions.detach()[who]).sum(1), dim=1)
    return (1 - (directions * consensus).sum(1)) / 2


def misalignment(
    model: nn.Module, x: Image, y: Labels, *, generator: torch.Generator, sigma: NonNegative = 0.1, draws: Count = 1
) -> Tensor:
    """MA-1: the mean angle between an image's gradient and those of its noisy copies (our reading of T2E).

    For small noise its mean is (σ²/4)·‖P_⊥∇g‖²/‖g‖²: a squared curvature of direction that neither the scale of the
    logits nor that of the gradient changes (definitions §3). A small island of another class is therefore expensive.

    Parameters
    ----------
    x, y
        Images [B, C, H, W] in [0, 1]; the labels [B] are not used.
    generator
        Draws the noise.
    sigma
        Standard deviation of the Gaussian noise, in pixel units (definitions §3 give it in units of standardised
        inputs). The copies are not clamped: the field is compared inside a ball, not inside the pixel range.
    draws
        Noisy copies per image. Cost with double backward: 2·(draws + 1) forward and backward passes or so.

    Returns
    -------
    Tensor
        [B] in [0, 1], lower is better aligned, with its graph.
    """
    return _against_copies(angular, model, x, y, generator=generator, sigma=sigma, draws=draws)


def relative_misalignment(
    model: nn.Module, x: Image, y: Labels, *, generator: torch.Generator, sigma: NonNegative = 0.1, draws: Count = 1
) -> Tensor:
    """MA-3: relative change of an image's gradient, in direction and length, among noisy copies (our reading of T2E).

    Parameters, values and cost as :func:`misalignment`; see :func:`relative_variation`.
    """
    return _against_copies(relative_variation, model, x, y, generator=generator, sigma=sigma, draws=draws)


def neighbour_misalignment(
    model: nn.Module,
    x: Image,
    y: Labels,
    *,
    generator: torch.Generator | None = None,  # noqa: ARG001 (one signature)
    neighbours: Count = 8,
) -> Tensor:
    """MA-2: the angle between an image's gradient and its neighbours' consensus in the batch (our reading of T2E).

    It wrongly penalises boundaries that face each other closely, and depends on the batch: see
    :func:`neighbour_consensus`. Cost: one input gradient with double backward.

    Returns
    -------
    Tensor
        [B] in [0, 1], with its graph.
    """
    check_images(x, y)
    return neighbour_consensus(x, gradient_field(model, x, copies=1), neighbours)


def gradient_field(model: nn.Module, x: Tensor, *, copies: int, create_graph: bool = True) -> Tensor:
    """∇ₓ(z_ŷ - mean z) of the model in eval mode for `copies` stacked versions of each image.

    With two classes it is ∇ₓ(z₁ - z₀) (definitions §3): z_ŷ - mean z turns round where the prediction does, and
    neighbours of the other class would count as opposite however straight the field is.

    Parameters
    ----------
    x
        [copies·B, C, H, W]: first the B images themselves, whose predictions ŷ hold for all their copies.

    Returns
    -------
    Tensor
        [copies·B, C, H, W], in units of logit per pixel value.
    """

    def score(logits: Tensor) -> Tensor:
        if logits.shape[1] < 2:
            raise BadInput(f"misalignment compares logits of at least 2 classes; the model has {logits.shape[1]}")
        if logits.shape[1] == 2:
            return logits[:, 1] - logits[:, 0]
        predicted = logits.detach()[: len(logits) // copies].argmax(1).repeat(copies)
        return logits.gather(1, predicted[:, None]).squeeze(1) - logits.mean(1)

    with mode(model, training=False):
        _, field = input_gradient(unwrapped(model), x, score, create_graph=create_graph)
    return field


def _against_copies(
    compare: Callable[[Tensor, Tensor], Tensor],
    model: nn.Module,
    x: Image,
    y: Labels,
    *,
    generator: torch.Generator,
    sigma: float,
    draws: int,
) -> Tensor:
    """[B]: the mean of `compare` over the copies."""
    check_images(x, y)
    copies = noisy_copies(x, sigma=sigma, draws=draws, generator=generator)
    field = gradient_field(model, copies.flatten(0, 1), copies=draws + 1).unflatten(0, (draws + 1, len(x)))
    return torch.stack([compare(field[0], other) for other in field[1:]]).mean(0)


def noisy_copies(x: Image, *, sigma: float, draws: int, generator: torch.Generator) -> Tensor:
    """[draws + 1, B, C, H, W]: the images and copies with Gaussian noise. One batch costs less than several."""
    if not 0 <= sigma < float("inf") or draws < 1:
        raise BadInput(f"noisy copies need a finite sigma ≥ 0 and at least 1 draw; got {sigma} and {draws}")
    noise = torch.randn((draws, *x.shape), generator=generator, dtype=x.dtype, device=generator.device).to(x.device)
    return torch.cat([x.detach()[None], x.detach() + sigma * noise])


def _length(values: Tensor) -> Tensor:
    return (values.square().sum(1) + FLOOR).sqrt()
