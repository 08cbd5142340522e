"""Norm-regularised adversarial training, group norm: gradients that are zero on whole blocks (definitions §2)."""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from pellucid.attacks.ball import L2
from pellucid.attacks.duality import GroupNorm, ascend
from pellucid.naming import Count, NonNegative
from pellucid.types import Image, Labels, Loss


def group_norm(
    model: nn.Module,
    x: Image,
    y: Labels,
    *,
    generator: torch.Generator | None = None,  # noqa: ARG001 (one signature; no random start)
    eps: NonNegative,
    block: Count | None = None,
    joint_channels: bool = False,
    steps: Count = 1,
) -> Loss:
    """Mean cross-entropy at x + δ, δ_G = eps·g_G/‖g_G‖₂, g = ∇ₓℓ: to first order, + eps·Σ_G‖g_G‖₂.

    The published code works in normalised units without a clamp and attacks in train mode; here see
    :func:`pellucid.attacks.duality.ascend`.

    Parameters
    ----------
    x, y
        Images [B, C, H, W] in [0, 1] and labels [B].
    generator
        Not used (no random start); every objective takes one.
    eps
        L2 radius of every block in pixel units, and weight of the group norm of the loss gradient. The same change per
        pixel as ``l1`` with ε takes eps = block·ε.
    block
        Side of a block in pixels; by default a sixteenth of the image's (14 at 224 as published, 2 at 28 and 32).
    joint_channels
        Whether a block spans all channels (in the published code each channel has its own).
    steps
        1: the closed form. More: ascent from δ = 0 with projection of every block, along the whole image's gradient as
        published, so that blocks of small gradients fill slowly; where the loss is linear, the closed form is the
        optimum. Cost: steps + 1 forward and backward passes.
    """
    norm = GroupNorm(eps, max(1, round(min(x.shape[2:]) / 16)) if block is None else block, joint_channels)

    def move(perturbation: Tensor, gradient: Tensor) -> Tensor:
        return norm.maximiser(gradient) if steps == 1 else norm.project(perturbation + _step(norm, gradient))

    loss = cross_entropy(model(ascend(model, x, y, move, steps=steps)), y)
    return Loss(loss, {"adversarial_cross_entropy": loss.detach()})


def _step(norm: GroupNorm, gradient: Tensor) -> Tensor:
    """Along the whole image's L2-normalised gradient, 0.3 of the closed form's length.

    The published step has length 1.0 whatever eps is (D-N3).
    """
    length = torch.linalg.vector_norm(norm.maximiser(gradient), dim=(1, 2, 3), keepdim=True)
    step: Tensor = 0.3 * length * L2(1.0).steepest(gradient)
    return step
