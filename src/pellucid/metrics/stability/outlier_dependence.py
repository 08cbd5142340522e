"""Dependence on outliers: how far a model's gradients turn when it was trained with wrongly labelled images."""

from collections.abc import Callable

import torch
from torch import Tensor

from pellucid.gradients import centred_logit_of, input_gradient
from pellucid.metrics.stability.cosine import cosine
from pellucid.types import Image

SMALLEST_NORM = 1e-10
"""A shorter gradient has no direction that could be compared (definitions §3.1)."""


def outlier_dependence(
    model_with: Callable[[Image], Tensor], model_without: Callable[[Image], Tensor], x: Image
) -> Tensor:
    """½(1 − cos(g_with, g_without)) of the input gradients of twin models, for each image (lower is better).

    g = ∇ₓ(z_ŷ − mean_j z_j), free of the softmax gauge; ŷ is what `model_without` predicts, for both models, so no true
    label enters.

    Parameters
    ----------
    model_with, model_without
        Images to logits [B, K], in eval mode: trained with and without the outliers, else alike (same initial weights,
        same order of images).
    x
        Clean test images [B, C, H, W].

    Returns
    -------
    Tensor
        [B] float64 in [0, 1]: 0 for the same direction, ½ for orthogonal ones, 1 for opposite ones. NaN where a
        gradient is shorter than 1e-10 or not finite.

    References
    ----------
    Definitions §3.1 (D_out).
    """
    with torch.no_grad():
        predicted = model_without(x).argmax(1)
    score = centred_logit_of(predicted)
    one, two = (input_gradient(model, x, score)[1].flatten(1).double() for model in (model_with, model_without))
    defined = (one.norm(dim=1) >= SMALLEST_NORM) & (two.norm(dim=1) >= SMALLEST_NORM)
    return torch.where(defined, (1 - cosine(one, two)) / 2, float("nan"))
