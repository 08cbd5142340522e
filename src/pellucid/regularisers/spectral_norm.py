"""Spectral-norm regularisation: small largest singular values of all weights, which T3S leaves open (§7)."""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from pellucid.modes import unwrapped
from pellucid.naming import Count
from pellucid.types import Image, Labels, check_images

WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


def largest_singular_value(matrix: Tensor, *, start: Tensor, iterations: int) -> Tensor:
    """σ₁ of a matrix [m, n] by power iteration from `start` [n]; its gradient is u·vᵀ of the last pair of vectors.

    From below: |found| ≤ σ₁, with the share (σ₂/σ₁)^(2·iterations) of the error of the start left.
    """
    with torch.no_grad():
        v = normalize(start, dim=0)
        for _ in range(iterations):
            v = normalize(matrix.T @ (matrix @ v), dim=0)
        u = normalize(matrix @ v, dim=0)
    return u @ matrix @ v


def spectral_norm(
    model: nn.Module,
    x: Image,
    y: Labels,
    *,
    generator: torch.Generator,
    iterations: Count = 5,
) -> Tensor:
    """½·Σ σ₁(W)² over all linear and convolutional weights, a convolution's as a matrix [out, in·k·k].

    Parameters
    ----------
    x, y
        Images [B, C, H, W] and labels [B]; only their number matters.
    generator
        Draws where the power iterations start.
    iterations
        Of each power method.

    Returns
    -------
    Tensor
        [B], the same value for every image, with its graph; lower: the network can change less between two images.
        Cost: 2·iterations products of each weight with a vector, no pass through the network.

    References
    ----------
    Yoshida and Miyato 2017, "Spectral norm regularization for improving the generalizability of deep learning", eq. 4.
    """
    check_images(x, y)
    weights = [module.weight.flatten(1) for module in unwrapped(model).modules() if isinstance(module, WEIGHTED)]
    total = x.new_zeros(())
    for weight in weights:
        start = torch.randn(weight.shape[1], generator=generator).to(weight)
        total = total + largest_singular_value(weight, start=start, iterations=iterations).square() / 2
    return total.expand(len(x))
