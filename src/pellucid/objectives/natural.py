"""Natural training: the cross-entropy of the clean images."""

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from pellucid.types import Image, Labels, Loss, check_images, check_labels


def natural(model: nn.Module, x: Image, y: Labels, *, generator: torch.Generator | None = None) -> Loss:  # noqa: ARG001 (one signature)
    """Mean cross-entropy of the batch (N in T3S). One forward and one backward pass.

    Parameters
    ----------
    x, y
        Images [B, C, H, W] in [0, 1] and labels [B].
    generator
        Not used; every objective takes one.
    """
    check_images(x, y)
    logits = model(x)
    check_labels(y, logits.shape[1])
    loss = cross_entropy(logits, y)
    return Loss(loss, {"cross_entropy": loss.detach()})
