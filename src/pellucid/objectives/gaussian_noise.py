"""Training on images with Gaussian noise: the baseline that any smoothing method must beat at equal σ."""

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from pellucid.errors import BadInput
from pellucid.naming import NonNegative
from pellucid.types import Image, Labels, Loss, check_images, check_labels


def gaussian_noise(model: nn.Module, x: Image, y: Labels, *, generator: torch.Generator, sigma: NonNegative) -> Loss:
    """Mean cross-entropy of noisy images: CE(model(clamp(x + σ·N(0, 1), 0, 1)), y).

    To second order in σ, and where the clamp does not bite, this is training with a Tikhonov penalty (Bishop 1995,
    "Training with noise is equivalent to Tikhonov regularization"): the cheap confound of every gradient-smoothing
    term (definitions §3.1). One draw per image; one forward and one backward pass.

    Parameters
    ----------
    x, y
        Images [B, C, H, W] in [0, 1] and labels [B].
    generator
        Draws the noise (on the CPU, so that every device sees the same).
    sigma
        Standard deviation σ ≥ 0 of every entry, in pixel units, before the clamp.

    Raises
    ------
    BadInput
        If sigma is negative or not finite, or images or labels are impossible.
    """
    check_images(x, y)
    if not 0 <= sigma < float("inf"):
        raise BadInput(f"sigma is the standard deviation of the noise in pixel units and must be ≥ 0; got {sigma}")
    noise = torch.randn(x.shape, generator=generator).to(x)
    logits = model((x + sigma * noise).clamp(0, 1))
    check_labels(y, logits.shape[1])
    loss = cross_entropy(logits, y)
    return Loss(loss, {"noisy_cross_entropy": loss.detach()})
