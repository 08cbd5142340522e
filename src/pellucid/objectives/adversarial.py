"""Adversarial training with PGD (Madry et al. 2018), the A of T3S, done in the right space."""

from typing import Literal

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from pellucid.attacks import ball, pgd, step_length
from pellucid.modes import mode, unwrapped
from pellucid.naming import Count, NonNegative, Positive
from pellucid.types import Image, Labels, Loss, check_images


def adversarial(
    model: nn.Module,
    x: Image,
    y: Labels,
    *,
    generator: torch.Generator,
    eps: NonNegative,
    norm: Literal["linf", "l2"] = "linf",
    step_size: Positive | None = None,
    steps: Count = 7,
) -> Loss:
    """Mean cross-entropy of adversarial images: every image attacked, true labels, random start, clamp to [0, 1].

    The attack sees the model in eval mode, so BatchNorm statistics are those of the training forward alone
    (definitions §1.3, "clean"; the published code differs: see :func:`adversarial_legacy`).

    Parameters
    ----------
    x, y
        Images [B, C, H, W] in [0, 1] and labels [B].
    generator
        Draws the random start.
    eps
        Radius of the ball, in pixel units.
    norm
        "linf" or "l2".
    step_size
        α, in pixel units; by default 2.5·eps/steps, so that the ball can be crossed (Madry et al.).
    steps
        Number of PGD steps T. Cost: T + 1 forward and backward passes.
    """
    check_images(x, y)
    region = ball(norm, eps)
    alpha = step_length(eps, steps, step_size)
    with mode(model, training=False):
        start = region.sample(x, generator)
        attacked = pgd(unwrapped(model), x, y, region, step_size=alpha, steps=steps, start=start)
    loss = cross_entropy(model(attacked), y)
    return Loss(loss, {"adversarial_cross_entropy": loss.detach()})
