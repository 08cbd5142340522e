"""Keeping the coordinates that an attribution puts first, or last: the ranking of DiffROAR, and DiffROAD."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from pellucid.errors import BadInput
from pellucid.types import Attribution, Image, Labels


def keep_mask(attribution: Attribution, share: float, *, most: bool) -> Tensor:
    """The round(share · CHW) coordinates of each image with the largest, or the smallest, absolute attribution.

    All C·H·W coordinates are ranked together. Ties go to the coordinate that comes first in memory, in either
    direction: an attribution of equal values keeps the same coordinates both ways, so that nothing is read into it.

    Parameters
    ----------
    attribution
        [B, C, H, W]; signs do not matter.
    share
        Of the coordinates to keep, in [0, 1].
    most
        Whether the largest are kept.

    Returns
    -------
    Tensor
        [B, C, H, W] bool, True where kept.

    Raises
    ------
    BadInput
        If the share lies outside [0, 1], or an attribution contains NaN.

    References
    ----------
    Shah et al. 2021, "Do input gradients highlight discriminative features?"; definitions §4.6.
    """
    if not 0 <= share <= 1:
        raise BadInput(f"the share of coordinates to keep must lie in [0, 1]; got {share}")
    sizes = attribution.flatten(1).abs()
    undefined = sizes.isnan().any(1)
    if undefined.any():
        raise BadInput(
            f"the attribution of image {int(undefined.nonzero()[0])} of the batch contains NaN, so its coordinates "
            "have no order; check the model's gradients, or leave the image out"
        )
    count = round(share * sizes.shape[1])
    kept = sizes.sort(dim=1, descending=most, stable=True).indices[:, :count]
    return torch.zeros_like(sizes, dtype=torch.bool).scatter_(1, kept, True).view(attribution.shape)


@torch.no_grad()
def diffroad(
    model: Callable[[Image], Tensor],
    x: Image,
    y: Labels,
    attribution: Attribution,
    *,
    levels: Sequence[float],
    fill: float,
) -> Tensor:
    """DiffROAD: is the image still classified correctly when only its most important coordinates are kept, or only
    its least important ones? The model is not retrained, so that masked images are foreign to it; DiffROAR retrains.

    Parameters
    ----------
    model
        Maps images to logits [B, K]; in eval mode. Costs two forward passes a level.
    x, y
        Images [B, C, H, W] in [0, 1] and their labels [B].
    attribution
        [B, C, H, W]; see :func:`keep_mask`.
    levels
        L shares of the coordinates to keep, each in [0, 1].
    fill
        What masked coordinates become, in pixel values: the mean of the training pixels.

    Returns
    -------
    Tensor
        [B, L] float64: 1 if correct only with the most important coordinates, −1 if only with the least important
        ones, else 0. The mean over images is the difference of the accuracies: higher is better, 0 is chance.

    Raises
    ------
    BadInput
        If shapes do not match, a level lies outside [0, 1], or an attribution contains NaN.

    References
    ----------
    Definitions §4.6: the inference-only variant of DiffROAR.
    """
    if attribution.shape != x.shape or y.shape != x.shape[:1]:
        shapes = f"{tuple(x.shape)}, {tuple(y.shape)} and {tuple(attribution.shape)}"
        raise BadInput(f"images and attributions [B, C, H, W] and labels [B] must belong together; got {shapes}")

    def correct(share: float, most: bool) -> Tensor:
        kept = keep_mask(attribution, share, most=most)
        return (model(torch.where(kept, x, fill)).argmax(1) == y).double()

    differences = [correct(share, True) - correct(share, False) for share in levels]
    return torch.stack(differences, dim=1) if differences else torch.empty(len(x), 0, dtype=torch.float64)
