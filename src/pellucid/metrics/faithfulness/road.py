"""ROAD: Remove And Debias. Accuracy while ever more pixels, in the order of a saliency map, are imputed away."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from pellucid.errors import BadInput
from pellucid.metrics.faithfulness.imputation import impute
from pellucid.metrics.sorting import ascending
from pellucid.types import Image, Labels, Saliency

ROAD_PERCENTAGES = tuple(range(1, 100, 5))
"""The 20 levels of T3S: 1, 6, …, 96 % of the pixels removed."""

NUMBERS_AT_ONCE = 2**21
"""Imputed pixel values held at a time (8 MB in float32, but at least one image at all levels)."""


@torch.no_grad()
def road_curve(
    model: Callable[[Image], Tensor],
    x: Image,
    y: Labels,
    saliency: Saliency,
    *,
    noise: Tensor | None,
    percentages: Sequence[float] = ROAD_PERCENTAGES,
    noise_scale: float | Tensor = 0.01,
    tolerance: float = 2e-5,
) -> Tensor:
    """Whether each image is still classified as `y` after removal of its most salient p % of pixels (MoRF).

    Removed pixels are imputed linearly in all channels, then noise is added to them (definitions §4.4). For removal of
    the least salient first (LeRF) pass ``-saliency``; for random removal pass a random map.

    Parameters
    ----------
    model
        Maps images to logits [N, K]. Called without gradients, on all levels of one image or of as many as make two
        million numbers; where that is too much, a function that splits them does. Its mode (train or eval) is the
        caller's business.
    x
        Images [B, C, H, W].
    y
        Labels [B]; choose images that the model classifies correctly, so that the curve starts at 1.
    saliency
        [B, 1, H, W], signed as it is; only its order matters, ties go to the pixel that comes first in reading order.
    noise
        Standard normal, [B, C, H, W] for the same draw at every level or [B, L, C, H, W]; None for no noise.
    percentages
        L levels in [0, 100); floor(HW · p / 100) pixels are removed.
    noise_scale
        Standard deviation of the noise in the units of `x`: one number, or one per channel [C]. With pixels in [0, 1]
        this is the clean variant; T3S adds 0.01 in normalised units, which is 0.01 times the normalisation's std.
    tolerance
        Of :func:`impute`.

    Returns
    -------
    Tensor
        [B, L] bool; low is good for most-salient-first: the prediction depended on what was removed.

    Raises
    ------
    BadInput
        For shapes that do not match, a percentage outside [0, 100), or a map with NaN.

    References
    ----------
    Rong et al. 2022, "A Consistent and Efficient Evaluation Strategy for Attribution Methods"; T3S §ROAD.
    """
    _check_shapes(x, y, saliency, noise, len(percentages))
    ranks = removal_order(saliency)
    curve = torch.empty(len(x), len(percentages), dtype=torch.bool, device=x.device)
    scale = torch.as_tensor(noise_scale, dtype=x.dtype, device=x.device).reshape(1, -1, 1, 1)
    for part in _parts(len(x), len(percentages) * x[:1].numel()):
        masks = removal_masks(ranks[part], x.shape[2:], percentages)
        removed = masks.flatten(0, 1)[:, None]
        images = impute(_per_level(x[part], masks), removed, tolerance=tolerance).images
        if noise is not None:
            draws = noise[part].flatten(0, 1) if noise.ndim == 5 else _per_level(noise[part], masks)
            images += scale * draws.to(x) * removed
        predicted = model(images).argmax(1)
        curve[part] = predicted.view(-1, len(percentages)) == y[part, None]
    return curve


def removal_order(saliency: Saliency) -> Tensor:
    """Position of every pixel in the order of removal, the largest value first.

    Sorting is stable on (−value, index), so exactly k pixels are removed at each level even where values tie, and any
    positive scaling of the map gives the same order.

    Parameters
    ----------
    saliency
        [B, 1, H, W].

    Returns
    -------
    Tensor
        Ranks [B, H·W] int64: 0 for the pixel that goes first.

    Raises
    ------
    BadInput
        If a map contains NaN.
    """
    values = _flat(saliency)
    undefined = values.isnan().any(1)
    if undefined.any():
        raise BadInput(
            f"the saliency map of image {int(undefined.nonzero()[0])} of the batch contains NaN, so its pixels have no "
            "order; check the model's gradients, or leave the image out"
        )
    order = values.sort(dim=1, descending=True, stable=True).indices
    places = torch.arange(values.shape[1], device=values.device).expand_as(order)
    return torch.empty_like(order).scatter_(1, order, places)


def removal_masks(ranks: Tensor, size: Sequence[int], percentages: Sequence[float] = ROAD_PERCENTAGES) -> Tensor:
    """Masks of the pixels removed at each level, nested: [B, L, H, W] bool from ranks [B, H·W] and the size (H, W).

    Raises
    ------
    BadInput
        For a percentage outside [0, 100): with every pixel removed nothing is left to impute from.
    """
    for p in percentages:
        if not 0 <= p < 100:
            raise BadInput(f"ROAD removes at least 0 and less than 100 % of the pixels; got {p}")
    pixels = ranks.shape[1]
    counts = torch.tensor([int(pixels * p / 100) for p in percentages], device=ranks.device)
    masks: Tensor = ranks[:, None] < counts[:, None]
    return masks.reshape(len(ranks), len(percentages), *size)


def zero_map(saliency: Saliency) -> Tensor:
    """Whether a map is zero everywhere [B] bool: it then ranks pixels in reading order, which says nothing."""
    return (_flat(saliency) == 0).all(1)


def tie_share(saliency: Saliency) -> Tensor:
    """Share of the pixels whose value another pixel has too, [B] float64 in [0, 1]: there the order is arbitrary."""
    values = ascending(_flat(saliency))
    same = values[:, 1:] == values[:, :-1]
    tied = torch.zeros_like(values, dtype=torch.bool)
    tied[:, 1:] |= same
    tied[:, :-1] |= same
    return tied.double().mean(1)


def _flat(saliency: Saliency) -> Tensor:
    """[B, H·W], or BadInput."""
    if saliency.ndim != 4 or saliency.shape[1] != 1:
        raise BadInput(f"saliency maps must be [B, 1, H, W]; got {tuple(saliency.shape)}. Sum over the channels first")
    return saliency.flatten(1)


def _check_shapes(x: Image, y: Labels, saliency: Saliency, noise: Tensor | None, levels: int) -> None:
    """BadInput unless everything is about the same images."""
    if saliency.shape != (len(x), 1, *x.shape[2:]) or y.shape != x.shape[:1]:
        raise BadInput(
            f"images {tuple(x.shape)} need labels [B] and saliency maps [B, 1, H, W]; "
            f"got {tuple(y.shape)} and {tuple(saliency.shape)}"
        )
    if noise is not None and noise.shape not in (x.shape, (len(x), levels, *x.shape[1:])):
        raise BadInput(
            f"noise must be [B, C, H, W] or [B, L, C, H, W] for images {tuple(x.shape)} and {levels} levels; "
            f"got {tuple(noise.shape)}"
        )


def _parts(images: int, numbers_per_image: int) -> Iterator[slice]:
    """Slices of the batch, of equal size, whose imputed levels are held at once."""
    most = max(1, NUMBERS_AT_ONCE // max(1, numbers_per_image))
    size = -(-images // max(1, -(-images // most)))
    return (slice(start, start + size) for start in range(0, images, max(1, size)))


def _per_level(images: Tensor, masks: Tensor) -> Tensor:
    """Images [b, C, H, W] repeated for each level of masks [b, L, H, W]: [b·L, C, H, W]."""
    return images.repeat_interleave(masks.shape[1], dim=0)
