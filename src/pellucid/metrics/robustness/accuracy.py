"""Natural and PGD-robust accuracy, per image (definitions §4.5); tables average."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pellucid.attacks import Ball, sample_per_image, worst_case
from pellucid.naming import Count
from pellucid.types import Image, Labels


def natural_accuracy(model: nn.Module, x: Image, y: Labels) -> Tensor:
    """Whether each image is classified as its label: bool [B], ↑. The published code averages batch means (D-M14)."""
    with torch.no_grad():
        logits: Tensor = model(x)
    return logits.argmax(1) == y


def robust_accuracy(
    model: nn.Module,
    x: Image,
    y: Labels,
    *,
    ids: Sequence[int],
    region: Ball,
    steps: Count = 20,
    restarts: Count = 1,
    seed: int = 0,
) -> Tensor:
    """Whether each image stays correctly classified under PGD: bool [B], ↑.

    True labels, pixel space, clamp to [0, 1], α = ε/4, a random start for every restart; an image counts only if it is
    correct before the attack and at every iterate of every restart (see :func:`pellucid.attacks.worst_case`).

    Parameters
    ----------
    model
        In eval mode.
    x, y
        Images [B, C, H, W] in [0, 1] and their labels [B].
    ids
        Names of the images: together with `seed` they decide the random starts, so batch mates do not.
    region
        The ε-ball, in pixel units: ``ball("linf", 0.1)``.
    """
    starts = [sample_per_image(region, x, ids, seed=seed, stream=f"pgd {restart}") for restart in range(restarts)]
    return worst_case(model, x, y, region, step_size=region.eps / 4, steps=steps, starts=starts)[1]
