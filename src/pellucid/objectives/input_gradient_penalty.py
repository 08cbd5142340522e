"""Double backpropagation: training that keeps the input gradient of the loss small (Drucker & LeCun 1992)."""

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from pellucid.errors import BadInput
from pellucid.gradients import cross_entropy_with, input_gradient
from pellucid.modes import mode, unwrapped
from pellucid.naming import NonNegative
from pellucid.types import Image, Labels, Loss, check_images, check_labels


def input_gradient_penalty(
    model: nn.Module,
    x: Image,
    y: Labels,
    *,
    generator: torch.Generator | None = None,  # noqa: ARG001 (one signature)
    weight: NonNegative,
) -> Loss:
    """mean_i CE_i + weight · mean_i ‖∇ₓ CE_i‖₂² (Drucker & LeCun 1992; Ross & Doshi-Velez 2018).

    The penalised gradient is that of the network in eval mode, which is the one explained later: in train mode
    BatchNorm would mix the images of a batch into each other's gradients, and Dropout would add noise to them. It
    takes a forward of its own also because a gradient may not be taken through the wrapper that the loss must pass
    (Fabric refuses it in mixed precision).

    Parameters
    ----------
    x, y
        Images [B, C, H, W] in [0, 1] and labels [B].
    generator
        Not used; every objective takes one.
    weight
        λ ≥ 0, in pixel units squared per nat: the penalty is in (nats per unit of pixel value)², summed over the
        entries of an image. Ross & Doshi-Velez sum over the batch; here both terms are means, so that the weight
        does not depend on its size.

    Returns
    -------
    The loss; its parts are ``cross_entropy`` and ``penalty`` (before the weight). Cost: two forwards, one
    input-gradient pass, and the backward pass through all three (double backward).

    Raises
    ------
    BadInput
        If the weight is negative or not finite, or images or labels are impossible.
    """
    check_images(x, y)
    if not 0 <= weight < float("inf"):
        raise BadInput(f"the weight of the input-gradient penalty must be ≥ 0 and finite; got {weight}")
    logits = model(x)  # first: it updates BatchNorm's statistics, which the graph of the penalty then keeps
    check_labels(y, logits.shape[1])
    loss = cross_entropy(logits, y)
    with mode(model, training=False):
        _, gradient = input_gradient(unwrapped(model), x, cross_entropy_with(y), create_graph=True)
    penalty = gradient.square().flatten(1).sum(1).mean()
    return Loss(loss + weight * penalty, {"cross_entropy": loss.detach(), "penalty": penalty.detach()})
