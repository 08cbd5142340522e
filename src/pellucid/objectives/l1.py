"""Norm-regularised adversarial training, L1: sparse gradients (definitions §2)."""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from pellucid.attacks.duality import L1, ascend
from pellucid.naming import Count, NonNegative
from pellucid.types import Image, Labels, Loss


def l1(
    model: nn.Module,
    x: Image,
    y: Labels,
    *,
    generator: torch.Generator | None = None,  # noqa: ARG001 (one signature; no random start)
    eps: NonNegative,
    steps: Count = 1,
) -> Loss:
    """Mean cross-entropy at x + eps·sign(∇ₓℓ): to first order, cross-entropy + eps·‖∇ₓℓ‖₁.

    The published code works in normalised units without a clamp and attacks in train mode; here see
    :func:`pellucid.attacks.duality.ascend`.

    Parameters
    ----------
    x, y
        Images [B, C, H, W] in [0, 1] and labels [B].
    generator
        Not used (no random start); every objective takes one.
    eps
        Largest change of a pixel, in pixel units, and weight of the L1 norm of the loss gradient.
    steps
        1: the closed form. More: δ ← clip(δ + 0.3·eps·sign(∇ₓℓ(x + δ)), ±eps) from 0. Cost: steps + 1 forward and
        backward passes.
    """
    norm = L1(eps)

    def move(perturbation: Tensor, gradient: Tensor) -> Tensor:
        if steps == 1:
            return norm.maximiser(gradient)
        return (perturbation + 0.3 * norm.maximiser(gradient)).clamp(-eps, eps)

    loss = cross_entropy(model(ascend(model, x, y, move, steps=steps)), y)
    return Loss(loss, {"adversarial_cross_entropy": loss.detach()})
