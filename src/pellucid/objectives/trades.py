"""TRADES: natural accuracy and robustness traded by one weight (Zhang et al. 2019)."""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, kl_div, log_softmax

from pellucid.attacks import Linf, step_length
from pellucid.errors import BadInput
from pellucid.gradients import input_gradient
from pellucid.modes import mode, unwrapped
from pellucid.naming import Count, NonNegative, Positive
from pellucid.types import Image, Labels, Loss, check_images, check_labels

START = 0.001  # standard deviation of the random start, in pixel units: at x itself the KL has gradient 0


def trades(
    model: nn.Module,
    x: Image,
    y: Labels,
    *,
    generator: torch.Generator,
    eps: NonNegative,
    beta: NonNegative = 6.0,
    steps: Count = 7,
    step_size: Positive | None = None,
) -> Loss:
    """mean_i CE(x_i) + β · mean_i KL(p(x_i) ‖ p(x'_i)), x' maximising that KL in the L∞ ball (Zhang et al. 2019).

    x' starts at clamp(x + 0.001·N(0, 1)) and takes T projected signed steps, clamped to [0, 1]; the attack sees the
    model in eval mode and p(x) as a constant, the loss is differentiated through both. Clean and attacked images pass
    the model in one training forward: two forwards before one backward break BatchNorm under DDP. So in train mode
    they share batch statistics, which the published code keeps apart.

    Parameters
    ----------
    x, y
        Images [B, C, H, W] in [0, 1] and labels [B]; the attack does not look at the labels.
    generator
        Draws the random start.
    eps
        Radius of the L∞ ball, in pixel units.
    beta
        β ≥ 0 (1/λ in the paper, 6 in its experiments); both terms are in nats.
    steps
        Number of steps T. Cost: T + 2 forward and backward passes and a forward.
    step_size
        α, in pixel units; by default 2.5·eps/steps, as in :func:`adversarial`.

    Returns
    -------
    The loss; its parts are ``cross_entropy`` (clean) and ``divergence`` (before β).

    Raises
    ------
    BadInput
        If eps or beta is negative or not finite, or images or labels are impossible.
    """
    check_images(x, y)
    if not 0 <= beta < float("inf"):
        raise BadInput(f"beta is the weight of the divergence and must be ≥ 0 and finite; got {beta}")
    region, alpha = Linf(eps), step_length(eps, steps, step_size)
    start = (x + START * torch.randn(x.shape, generator=generator).to(x)).clamp(0, 1)
    with mode(model, training=False):
        attacked = _attack(unwrapped(model), x, start, region, alpha, steps)
    clean, moved = model(torch.cat([x, attacked])).chunk(2)
    check_labels(y, clean.shape[1])
    loss = cross_entropy(clean, y)
    divergence = _divergence(clean, moved).mean()
    return Loss(loss + beta * divergence, {"cross_entropy": loss.detach(), "divergence": divergence.detach()})


def _attack(model: nn.Module, x: Image, start: Image, region: Linf, step_size: float, steps: int) -> Image:
    clean = model(x).detach()  # not under no_grad: older autocasts would keep those weight casts, without a graph
    attacked = start
    for _ in range(steps):
        _, gradient = input_gradient(model, attacked, lambda logits: _divergence(clean, logits))
        moved = attacked + step_size * region.steepest(gradient)
        attacked = (x + region.project(moved - x)).clamp(0, 1)
    return attacked


def _divergence(clean: Tensor, attacked: Tensor) -> Tensor:
    """KL(softmax(clean) ‖ softmax(attacked)) of every image [B], in nats."""
    return kl_div(log_softmax(attacked, 1), log_softmax(clean, 1), reduction="none", log_target=True).sum(1)
