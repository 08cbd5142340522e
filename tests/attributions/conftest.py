"""Images and a classifier for the tests of the attributions."""

import pytest
import torch
from smooth_classifier import smooth_classifier
from torch import nn


@pytest.fixture
def model() -> nn.Sequential:
    return smooth_classifier()


@pytest.fixture
def x() -> torch.Tensor:
    return torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.fixture
def target() -> torch.Tensor:
    return torch.tensor([0, 3, 1, 2, 2, 0])
