"""Norm-regularised adversarial training as its published code does it (definitions §2, D-N1 to D-N7).

All four work behind the model's normalisation layer, without a clamp, and take the gradient in train mode, so that
BatchNorm's statistics are updated by the attack's passes too and dropout makes it random. The loss is that of the
perturbed images alone. Two things are not repeated, because they give no number: a group or image without gradient is
left unperturbed (the code divides 0 by 0), and eps2 must be positive (the code's default of 0 divides by zero).
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from pellucid.attacks.ball import L2
from pellucid.attacks.duality import L1, ElasticNet, GroupNorm
from pellucid.data.attention import check_attention
from pellucid.gradients import cross_entropy_with, input_gradient
from pellucid.modes import mode, unwrapped
from pellucid.naming import Count, NonNegative, Positive
from pellucid.objectives.adversarial_legacy import in_space
from pellucid.types import Image, Labels, Loss, check_images

Move = Callable[[Tensor, Tensor], Tensor]
"""Maps a perturbation and the loss gradient there to the next perturbation."""


def l1_legacy(
    model: nn.Module,
    x: Image,
    y: Labels,
    *,
    generator: torch.Generator | None = None,  # noqa: ARG001 (one signature; no random start)
    eps: NonNegative = 0.01,
    steps: Count = 1,
) -> Loss:
    """δ = eps·sign(g), or `steps` (published: 7) times δ ← clip(δ + 0.3·eps·sign(g), ±eps).

    Parameters
    ----------
    eps
        In units of normalised values: 0.01 is about 0.6/255 on ImageNet statistics. The command line's default.
    """
    norm = L1(eps)

    def move(perturbation: Tensor, gradient: Tensor) -> Tensor:
        step = norm.maximiser(gradient)
        return step if steps == 1 else (perturbation + 0.3 * step).clamp(-eps, eps)

    return _loss(model, x, y, move, steps)


def elastic_net_legacy(
    model: nn.Module,
    x: Image,
    y: Labels,
    *,
    generator: torch.Generator | None = None,  # noqa: ARG001 (one signature; no random start)
    eps: NonNegative = 0.01,
    eps2: Positive = 0.05,
    steps: Count = 1,
) -> Loss:
    """δ = eps·sign(g) + 2·eps2·g, or steps of length 0.3 up ℓ(x + δ) - Σ relu(|δ| - eps)² / (4·eps2), whatever eps is.

    Parameters
    ----------
    eps, eps2
        In units of normalised values. The published run: 0.01 and 0.05.
    """
    norm, direction = ElasticNet(eps, eps2), L2(1.0)

    def move(perturbation: Tensor, gradient: Tensor) -> Tensor:
        if steps == 1:
            return norm.maximiser(gradient)
        slope = (perturbation.abs() - eps).relu() * perturbation.sign() / (2 * eps2)
        return perturbation + 0.3 * direction.steepest(gradient - slope)

    return _loss(model, x, y, move, steps)


def group_norm_legacy(
    model: nn.Module,
    x: Image,
    y: Labels,
    *,
    generator: torch.Generator | None = None,  # noqa: ARG001 (one signature; no random start)
    eps: NonNegative = 0.01,
    block: Count = 14,
    steps: Count = 1,
) -> Loss:
    """δ_G = eps·g_G/‖g_G‖₂ in every block of every channel, or steps of length 1.0 with projection of every block.

    Parameters
    ----------
    eps
        L2 radius of a block, in units of normalised values; the iterated form's step does not depend on it (D-N3).
    block
        Side in pixels; published: 14 at 224.
    """
    norm, direction = GroupNorm(eps, block), L2(1.0)

    def move(perturbation: Tensor, gradient: Tensor) -> Tensor:
        if steps == 1:
            return norm.maximiser(gradient)
        return norm.project(perturbation + direction.steepest(gradient))

    return _loss(model, x, y, move, steps)


def gaze_legacy(
    model: nn.Module,
    x: Image,
    y: Labels,
    *,
    generator: torch.Generator | None = None,  # noqa: ARG001 (one signature; no random start)
    attention: Tensor,
    eps: NonNegative = 0.5,
) -> Loss:
    """δ = eps·(1 - 2m)⊙g/‖g‖₂ with the attention map m; one step only.

    Parameters
    ----------
    attention
        [B, 1, H, W] in [0, 1].
    eps
        L2 length of the whole perturbation for a binary map, in units of normalised values. The published run: 0.5.
    """
    check_attention(attention, x)
    weight, direction = eps * (1 - 2 * attention.to(x)), L2(1.0)

    def move(_: Tensor, gradient: Tensor) -> Tensor:
        return weight * direction.steepest(gradient)

    return _loss(model, x, y, move, 1)


def _loss(model: nn.Module, x: Image, y: Labels, move: Move, steps: int) -> Loss:
    check_images(x, y)
    network, image, (mean, std) = in_space(unwrapped(model), x, "normalised")
    perturbation, score = torch.zeros_like(image), cross_entropy_with(y)
    with mode(model, training=True):
        for _ in range(steps):
            _, gradient = input_gradient(network, image + perturbation, score)
            perturbation = move(perturbation, gradient)
    loss = cross_entropy(model((image + perturbation) * std + mean), y)
    return Loss(loss, {"adversarial_cross_entropy": loss.detach()})
