"""Square blocks of pixels as the features of methods that switch parts of an image off."""

import torch
from torch import Tensor


def block_numbers(height: int, width: int, block: int) -> Tensor:
    """Int64 [1, 1, H, W]: which block each pixel belongs to, counted row by row; those at the far edges are smaller."""
    rows, columns = torch.arange(height) // block, torch.arange(width) // block
    numbers = rows[:, None] * (columns[-1] + 1) + columns
    return numbers[None, None]
