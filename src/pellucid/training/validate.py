"""Clean and PGD-robust accuracy on the validation split."""

import torch
from torch import nn

from pellucid.attacks import ball, sample_per_image, worst_case
from pellucid.data.dataset import Dataset
from pellucid.modes import mode
from pellucid.training.settings import RobustValidation
from pellucid.training.step import to_device


def clean_accuracy(model: nn.Module, dataset: Dataset, *, batch_size: int = 256) -> float:
    """Share of images classified correctly, model in eval mode."""
    right = 0
    with mode(model, training=False), torch.no_grad():
        for positions in torch.arange(len(dataset)).split(batch_size):
            x, y = to_device(dataset.batch(positions), model)
            right += int((model(x).argmax(1) == y).sum())
    return right / len(dataset)


def robust_accuracy(model: nn.Module, dataset: Dataset, attack: RobustValidation, *, seed: int) -> float:
    """Share of the first `attack.images` images that stay correct under PGD (step 2.5·eps/steps, one random start)."""
    region = ball(attack.norm, attack.eps)
    count = min(attack.images, len(dataset))
    right = 0
    with mode(model, training=False):
        for positions in torch.arange(count).split(256):
            x, y = to_device(dataset.batch(positions), model)
            start = sample_per_image(region, x, dataset.ids[positions].tolist(), seed=seed, stream="validation")
            _, robust = worst_case(
                model, x, y, region, step_size=2.5 * attack.eps / attack.steps, steps=attack.steps, starts=[start]
            )
            right += int(robust.sum())
    return right / count
