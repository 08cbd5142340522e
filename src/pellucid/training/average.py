"""The exponential moving average of a model's weights (Polyak averaging with forgetting)."""

from copy import deepcopy

import torch
from torch import Tensor, nn


class Average:
    """A copy of a model that follows it: a ← d·a + (1 - d)·w after every step, for parameters and buffers alike.

    d is min(decay, (1 + t) / (10 + t)) in step t (from 1), so that a short run is not mostly its start. What is no
    floating-point number (BatchNorm's counter) is copied. The copy learns nothing itself.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = deepcopy(model).requires_grad_(False)
        self.decay = decay

    def update(self, model: nn.Module, step: int) -> None:
        """Follow `model`, which has made `step` steps."""
        decay = min(self.decay, (1 + step) / (10 + step))
        with torch.no_grad():
            for mine, theirs in zip(_tensors(self.model), _tensors(model), strict=True):
                if mine.is_floating_point():
                    mine.lerp_(theirs, 1 - decay)
                else:
                    mine.copy_(theirs)


def _tensors(model: nn.Module) -> list[Tensor]:
    """Parameters and buffers, tied ones once."""
    return [*model.parameters(), *model.buffers()]
