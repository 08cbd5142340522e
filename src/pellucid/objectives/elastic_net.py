"""Norm-regularised adversarial training, elastic net: sparse and small gradients (definitions §2)."""

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from pellucid.attacks.duality import ElasticNet, ascend, towards
from pellucid.naming import Count, NonNegative
from pellucid.objectives.l1 import l1
from pellucid.types import Image, Labels, Loss


def elastic_net(
    model: nn.Module,
    x: Image,
    y: Labels,
    *,
    generator: torch.Generator | None = None,
    eps: NonNegative,
    eps2: NonNegative,
    steps: Count = 1,
) -> Loss:
    """Mean cross-entropy at x + eps·sign(g) + 2·eps2·g, g = ∇ₓℓ: it trains, to first order, as + eps·‖g‖₁ + eps2·‖g‖₂².

    That is its gradient in the weights, for which the perturbation is a constant; the value itself has 2·eps2.
    The published code works in normalised units without a clamp and attacks in train mode; here see
    :func:`pellucid.attacks.duality.ascend`.

    Parameters
    ----------
    x, y
        Images [B, C, H, W] in [0, 1] and labels [B].
    generator
        Not used (no random start); every objective takes one.
    eps, eps2
        Weights of the L1 norm and of the squared L2 norm of the loss gradient, in pixel units. With ``eps2=0`` this is
        :func:`l1`; the published code divides by zero there, at its own default (D-N1).
    steps
        1: the closed form. More: ascent on ℓ(x + δ) - h(δ) from δ = 0. Cost: steps + 1 forward and backward passes.
    """
    norm = ElasticNet(eps, eps2)
    if eps2 == 0:
        return l1(model, x, y, generator=generator, eps=eps, steps=steps)
    # The published ascent takes L2 steps of the fixed length 0.3 whatever eps is (D-N3), so it circles the optimum and
    # is often worse than the closed form; steps towards the closed form of the current gradient arrive.
    perturbed = ascend(model, x, y, towards(norm, share=1 if steps == 1 else 0.3), steps=steps)
    loss = cross_entropy(model(perturbed), y)
    return Loss(loss, {"adversarial_cross_entropy": loss.detach()})
