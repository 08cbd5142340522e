"""From ROS per image to one number, with how many images it leaves out."""

from typing import NamedTuple

import torch
from torch import Tensor

from pellucid.errors import BadInput


class Aggregate(NamedTuple):
    """A `value`, the number `n` of images it speaks for, and how many were left out as `undefined` (NaN)."""

    value: float
    n: int
    undefined: int


def log10_mean(values: Tensor) -> Aggregate:
    """log10 of the mean over the images [N] with a value; NaN if there is none.

    Where maps have a positive density at 0 the mean of ``ros_quantus`` does not converge (definitions §4.3).
    """
    return _aggregate(values, values.double().nanmean())


def log10_median(values: Tensor) -> Aggregate:
    """log10 of the median over the images [N] with a value; NaN if there is none."""
    ascending = values[~values.isnan()].double().sort().values
    middle = ascending[(len(ascending) - 1) // 2 : len(ascending) // 2 + 1]  # one value, or the two in the middle
    return _aggregate(values, middle.mean())


def log10_mean_legacy(values: Tensor, *, batch_size: int) -> Aggregate:
    """log10 of the mean over loader batches of the mean in each, both without the NaNs, as in T3S.

    Images in the short last batch, or in a batch with many undefined ones, weigh more than others (definitions §4.3).

    Parameters
    ----------
    values
        [N], in the order of the loader.
    batch_size
        The loader's. T3S: 32 for Fashion-MNIST and CIFAR-10, 64 for ImageNette.
    """
    if batch_size < 1:
        raise BadInput(f"the batch size must be at least 1; got {batch_size}")
    means = torch.stack([batch.nanmean() for batch in torch.split(values.double(), batch_size)])
    return _aggregate(values, means.nanmean())


def _aggregate(values: Tensor, level: Tensor) -> Aggregate:
    undefined = int(values.isnan().sum())
    return Aggregate(level.log10().item(), values.numel() - undefined, undefined)
