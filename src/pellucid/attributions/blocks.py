"""Square blocks of pixels as the features of methods that switch parts of an image off."""

import torch
from torch import Tensor, nn

from pellucid.attributions.captum import captum_attribution
from pellucid.types import Attribution, Image, Labels

AT_ONCE = 50
"""Perturbed copies of an image that go through the model together."""


def block_numbers(height: int, width: int, block: int) -> Tensor:
    """Int64 [1, 1, H, W]: which block each pixel belongs to, counted row by row; those at the far edges are smaller."""
    rows, columns = torch.arange(height) // block, torch.arange(width) // block
    numbers = rows[:, None] * (columns[-1] + 1) + columns
    return numbers[None, None]


def regression_on_blocks(
    model: nn.Module, x: Image, target: Labels, *, method: str, block: int, samples: int, seed: int
) -> Attribution:
    """The weights that a regression of Captum (``Lime``, ``KernelShap``) gives to blocks switched off at random.

    [B, C, H, W], in logits a block; `x` [B, C, H, W] and `target` [B] as in :func:`~pellucid.attributions.gradient`.
    """
    return captum_attribution(
        model,
        x,
        target,
        method=method,
        seed=seed,
        feature_mask=block_numbers(x.shape[2], x.shape[3], block).to(x.device),
        n_samples=samples,
        perturbations_per_eval=AT_ONCE,
    )
