"""Density of the gradient map: training that explains with few pixels, whatever the size of the gradient.

Norm penalties (L1, elastic net, group norm) make gradients small as well as sparse. The ratio of two norms is free of
scale: it rewards sparsity alone. It is not from the three papers; Hurley & Rickard 2009, "Comparing measures of
sparsity", is the source of the measure (Hoyer's, up to a linear map).
"""

import torch
from torch import Tensor, nn

from pellucid.naming import Count, NonNegative
from pellucid.regularisers.misalignment import FLOOR, angular, gradient_field, noisy_copies
from pellucid.types import Image, Labels, check_images


def density(field: Tensor) -> Tensor:
    """‖m‖₁ / (√HW·‖m‖₂) of the map m = Σ_c|g_c|, image by image: 1/√HW one pixel, 1 all pixels alike.

    Parameters
    ----------
    field
        [B, C, H, W].

    Returns
    -------
    Tensor
        [B] from 1/√HW to 1, differentiable almost everywhere. A gradient of zero gives 1, vanishing is not rewarded,
        and for that an even map gives 1 + 1e-6/‖m‖₂ or so: notably above 1, at most √2, only where ‖m‖₂ is about 1e-6.
    """
    sizes = field.abs().sum(1).flatten(1)
    entries = sizes.shape[1] ** 0.5
    total = sizes.sum(1) + entries * FLOOR**0.5
    ratio: Tensor = total / (entries * (sizes.square().sum(1) + FLOOR).sqrt())
    return ratio


def gradient_density(
    model: nn.Module,
    x: Image,
    y: Labels,
    *,
    generator: torch.Generator | None = None,  # noqa: ARG001 (one signature)
) -> Tensor:
    """The density of each image's gradient map, ∇ₓ(z_ŷ - mean z) of the model in eval mode.

    Parameters
    ----------
    x, y
        Images [B, C, H, W] in [0, 1]; the labels [B] are not used.

    Returns
    -------
    Tensor
        [B] as of :func:`density`, lower is sparser, with its graph. Cost: one input gradient with double backward.
    """
    check_images(x, y)
    return density(gradient_field(model, x, copies=1))


def sparse_misalignment(
    model: nn.Module,
    x: Image,
    y: Labels,
    *,
    generator: torch.Generator,
    sigma: NonNegative = 0.1,
    draws: Count = 1,
    sparsity: NonNegative = 0.1,
) -> Tensor:
    """MA-1 plus `sparsity` times the density, both of the same gradients: two terms at the cost of misalignment alone.

    Parameters
    ----------
    generator, sigma, draws
        As in :func:`~pellucid.regularisers.misalignment.misalignment`.
    sparsity
        Weight of the density against the misalignment. The density is that of the image and its copies, on average.

    Returns
    -------
    Tensor
        [B], lower is better, with its graph.
    """
    check_images(x, y)
    copies = noisy_copies(x, sigma=sigma, draws=draws, generator=generator)
    field = gradient_field(model, copies.flatten(0, 1), copies=draws + 1)
    own, *others = field.unflatten(0, (draws + 1, len(x)))
    turned = torch.stack([angular(own, other) for other in others]).mean(0)
    dense: Tensor = density(field).unflatten(0, (draws + 1, len(x))).mean(0)
    return turned + sparsity * dense
