"""Norm-regularised adversarial training, gaze: gradients that lie where people look (definitions §2)."""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from pellucid.attacks.ball import L2
from pellucid.attacks.duality import ascend
from pellucid.data.attention import check_attention
from pellucid.errors import BadInput
from pellucid.naming import NonNegative
from pellucid.types import Image, Labels, Loss


def gaze(
    model: nn.Module,
    x: Image,
    y: Labels,
    *,
    generator: torch.Generator | None = None,  # noqa: ARG001 (one signature; no random start)
    attention: Tensor,
    eps: NonNegative,
) -> Loss:
    """Mean cross-entropy at x + δ, δ = eps·(1 - 2m)⊙g/‖g‖₂, g = ∇ₓℓ: pixels nobody looks at are changed for the worse,
    those that people look at for the better.

    To first order that is cross-entropy + eps·Σ(1 - 2m)g²/‖g‖₂, for a map m of zeros and ones
    eps·(‖g_out‖² - ‖g_in‖²)/‖g‖₂: gradient energy outside of the attention costs, inside it is rewarded. So, unlike
    ``l1``, ``elastic_net`` and ``group_norm``, this is no norm of the gradient and not the conjugate of a penalty but
    a saddle (worst case outside, best case inside: D-N9), and it is not bounded from below: with a large eps a run can
    diverge, with ever larger gradients inside. As δ is a constant of the backward pass, the weights follow another
    slope than that of the term above: that of eps·Σ(1 - 2m)g²/(2‖g‖₂) with ‖g‖₂ held constant.

    The published code works in normalised units without a clamp and attacks in train mode; here see
    :func:`pellucid.attacks.duality.ascend`.

    Parameters
    ----------
    x, y
        Images [B, C, H, W] in [0, 1] and labels [B].
    generator
        Not used (no random start); every objective takes one.
    attention
        m [B, 1, H, W] in [0, 1], 1 where people look; the same for all channels. With 0.5 a pixel is left alone.
    eps
        L2 length of the whole image's perturbation, in pixel units, where the map holds zeros and ones only (shorter
        otherwise). Cost: two forward and backward passes.

    Raises
    ------
    BadInput
        If eps, images, labels or maps are impossible.
    """
    if not 0 <= eps < float("inf"):
        raise BadInput(f"eps must be a finite number ≥ 0; got {eps}")
    check_attention(attention, x)
    weight, direction = eps * (1 - 2 * attention.to(x)), L2(1.0)

    def move(_: Tensor, gradient: Tensor) -> Tensor:
        return weight * direction.steepest(gradient)

    loss = cross_entropy(model(ascend(model, x, y, move)), y)
    return Loss(loss, {"adversarial_cross_entropy": loss.detach()})
