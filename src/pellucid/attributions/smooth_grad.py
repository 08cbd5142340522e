"""SmoothGrad: the gradient averaged over noisy copies of the image."""

from collections.abc import Callable

import torch
from torch import Tensor

from pellucid.attributions.reduction import reduces
from pellucid.attributions.targets import check_target
from pellucid.attributions.weighted import images_at_once, weighted_gradient
from pellucid.errors import BadInput
from pellucid.naming import Count, NonNegative
from pellucid.types import Attribution, Image, Labels


@reduces("absolute")
def smooth_grad(
    model: Callable[[Image], Tensor],
    x: Image,
    target: Labels,
    *,
    noise: Tensor,
    sigma: NonNegative,
    chunk: Count | None = None,
    create_graph: bool = False,
) -> Attribution:
    """(1/S) Σ_s ∂z_target/∂x (x + σ·noise_s).

    Parameters
    ----------
    model, x, target, create_graph
        As in :func:`~pellucid.attributions.gradient`.
    noise
        [B, S, C, H, W], standard normal: the S draws of each image, made by the caller (for instance with
        :func:`pellucid.randomness.normal_per_image`), so that nothing here is random.
    sigma
        Standard deviation in pixel values. The noisy images are not clipped to [0, 1], as in the paper.
    chunk
        Images per forward pass at most: memory, not the result, depends on it. None: 128, fewer where they are large.

    Returns
    -------
    Attribution
        [B, C, H, W], signed, in logits per unit of pixel value. Its saliency map is Σ_c |·|. With σ = 0 it is the
        gradient.

    Raises
    ------
    BadInput
        If shapes are wrong or there is no draw.

    References
    ----------
    Smilkov et al. 2017, "SmoothGrad: removing noise by adding noise".
    """
    check_target(x, target)
    size = images_at_once(x) if chunk is None else chunk
    draws = noise.shape[1] if noise.ndim == 5 else 0
    if draws == 0 or noise.shape != (x.shape[0], draws, *x.shape[1:]):
        expected = f"[{x.shape[0]}, S, {', '.join(map(str, x.shape[1:]))}]"
        raise BadInput(f"the noise of SmoothGrad must have the shape {expected} with S ≥ 1; got {tuple(noise.shape)}")
    with torch.set_grad_enabled(create_graph):

        def points(images: slice, steps: slice) -> Tensor:
            return x[images] + sigma * noise[images, steps].to(x).transpose(0, 1)

        weights = [1 / draws] * draws
        return weighted_gradient(model, target, points, weights, chunk=size, create_graph=create_graph)
