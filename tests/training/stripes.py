"""A data set that learns in a few steps."""

import torch

from pellucid.data.dataset import Dataset


def stripes(count: int, seed: int) -> Dataset:
    """Noisy 8 × 8 images whose class is the row of a bright stripe: learnable in a few steps."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 4
    images = torch.randint(0, 120, (count, 1, 8, 8), generator=generator)
    images[torch.arange(count), 0, 2 * labels] += 120
    return Dataset("stripes", "train", images.to(torch.uint8), labels, ("a", "b", "c", "d"), torch.arange(count))
