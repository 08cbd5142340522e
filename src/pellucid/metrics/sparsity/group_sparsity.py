"""Sparsity by blocks of pixels: how unequally an attribution is spread over groups, and how many of them are quiet."""

import torch
from torch import Tensor

from pellucid.attacks.duality import GroupNorm
from pellucid.errors import BadInput
from pellucid.metrics.sparsity.gini import gini
from pellucid.types import Attribution


def group_gini(attribution: Attribution, *, block: int, joint_channels: bool = False) -> Tensor:
    """Gini index of the L2 norms of square blocks (higher: fewer blocks hold the attribution).

    What group-norm regularisation should raise; within a block the entries may be as dense as they like.

    Parameters
    ----------
    attribution
        [B, C, H, W], signed; its scale does not matter.
    block
        Side of a block in pixels (14 at 224 pixels, 2 at 28 or 32). Blocks that stick out at the bottom and right are
        filled with zeros.
    joint_channels
        Whether a block spans all channels; in the published regulariser each channel has its own.

    Returns
    -------
    Tensor
        [B] float64, in [0, 1 − 1/groups]. Equal norms and an attribution of zeros give 0; NaN if it is not finite.

    Raises
    ------
    BadInput
        If no block fits into the image.

    References
    ----------
    Groups as in NRAT (definitions §2.2); index as in :func:`~pellucid.metrics.sparsity.gini`.
    """
    return gini(_lengths(attribution, block, joint_channels))


def quiet_groups(attribution: Attribution, *, block: int, share: float = 0.1, joint_channels: bool = False) -> Tensor:
    """Share of the blocks whose L2 norm is below `share` of the largest block's (higher is sparser).

    Parameters
    ----------
    attribution, block, joint_channels
        As in :func:`group_gini`.
    share
        Of the largest norm, in (0, 1].

    Returns
    -------
    Tensor
        [B] float64, in [0, 1 − 1/groups]. An attribution of zeros gives 0; NaN if it is not finite.

    Raises
    ------
    BadInput
        If no block fits into the image, or `share` lies outside (0, 1].
    """
    if not 0 < share <= 1:
        raise BadInput(f"share, a part of the largest group's norm, must lie in (0, 1]; got {share}")
    lengths = _lengths(attribution, block, joint_channels)
    largest = lengths.amax(1, keepdim=True)
    quiet = (lengths < share * largest).double().mean(1)
    return torch.where(largest[:, 0].isfinite(), quiet, float("nan"))


def _lengths(attribution: Attribution, block: int, joint_channels: bool) -> Tensor:
    """‖a_G‖₂ of all groups: [B, groups] float64."""
    return GroupNorm(1.0, block, joint_channels).lengths(attribution.double()).flatten(1)
