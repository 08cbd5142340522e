"""Sorting the entries of many maps; on a CPU by NumPy, which takes a fifth of torch's time."""

import numpy as np
import torch
from torch import Tensor


def ascending(rows: Tensor) -> Tensor:
    """The entries [B, d] of each row in ascending order, NaN last."""
    if rows.device.type != "cpu" or rows.requires_grad:
        return rows.sort(1).values
    return torch.from_numpy(np.sort(rows.numpy(), axis=1))


def ascending_places(rows: Tensor) -> Tensor:
    """Where the entries of each row stand that are the first, second, … in ascending order: int64 [B, d], NaN last.

    Of equal entries any may come first.
    """
    if rows.device.type != "cpu":
        return rows.argsort(1)
    return torch.from_numpy(np.argsort(rows.detach().numpy(), axis=1))
