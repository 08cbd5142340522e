"""Wrong labels on purpose, to see whether a model learns them by heart."""

from dataclasses import replace

import torch
from torch import Tensor

from pellucid.data.dataset import Dataset
from pellucid.errors import BadInput
from pellucid.randomness import generator


def flip_labels(dataset: Dataset, share: float, *, seed: int) -> tuple[Dataset, Tensor]:
    """Give a share of the images another label, drawn evenly from the other classes.

    Parameters
    ----------
    dataset
        Training images with true labels; not changed.
    share
        In [0, 1]: round(share · N) images are flipped, chosen by the seed.

    Returns
    -------
    noisy, flipped
        The same images, ids and classes with the new labels; and bool [N], which of them are wrong.

    Raises
    ------
    BadInput
        If the share lies outside [0, 1], or there is no other class.

    References
    ----------
    Definitions §3.1, corruption (a).
    """
    if not 0 <= share <= 1:
        raise BadInput(f"the share of labels to flip must lie in [0, 1]; got {share}")
    if len(dataset.classes) < 2:
        raise BadInput(f"{dataset} has {len(dataset.classes)} class: there is no other label to flip to")
    draws = generator("label noise", seed)
    chosen = torch.randperm(len(dataset), generator=draws)[: round(share * len(dataset))]
    shifts = torch.randint(1, len(dataset.classes), chosen.shape, generator=draws)
    labels, flipped = dataset.labels.clone(), torch.zeros(len(dataset), dtype=torch.bool)
    labels[chosen] = (labels[chosen] + shifts) % len(dataset.classes)
    flipped[chosen] = True
    return replace(dataset, labels=labels), flipped
