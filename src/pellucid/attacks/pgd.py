"""Projected gradient descent (Madry et al. 2018; definitions §1.3, §4.5)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pellucid.attacks.ball import Ball
from pellucid.errors import BadInput
from pellucid.gradients import cross_entropy_with, input_gradient
from pellucid.memory_format import fast_memory_format
from pellucid.types import Image, Labels, check_images, check_labels

PIXELS = (0.0, 1.0)


def step_length(eps: float, steps: int, given: float | None = None) -> float:
    """α of `steps` steps in a ball of radius `eps`: the given one, or 2.5·eps/steps, which crosses it (Madry et al.).

    Raises
    ------
    BadInput
        If there is no step, or the given α is not a finite number above 0.
    """
    if steps < 1:
        raise BadInput(f"an attack needs at least 1 step; got {steps}")
    if given is not None and not 0 < given < float("inf"):
        raise BadInput(f"step_size must be a finite number > 0; got {given}")
    return 2.5 * eps / steps if given is None else given


def pgd(
    model: nn.Module,
    x: Image,
    y: Labels,
    ball: Ball,
    *,
    step_size: float,
    steps: int,
    start: Tensor | None = None,
    clamp: tuple[float, float] | None = PIXELS,
) -> Image:
    """Perturb images inside the ε-ball so that the cross-entropy with `y` grows.

    x₀ = x + start;  x ← clamp(x + Π(x_t - x + α·steepest(∇CE))), `steps` times. Costs exactly `steps` forward and
    input-gradient passes; weight gradients are never computed.

    Parameters
    ----------
    model
        Maps images to logits; put it in the mode that the attack shall see (objectives use eval mode).
    x, y
        Images [B, C, H, W] in [0, 1] and the labels to move away from [B].
    ball
        The ε-ball, in the units of `x`.
    step_size
        α, in the units of `x`.
    start
        A first perturbation [B, C, H, W], such as ``ball.sample(x, draws)``; None starts at x.
    clamp
        Valid range of pixels, applied after every step (None: no range, as in part of the published code).

    Returns
    -------
    Images [B, C, H, W] within the ball around `x` and within `clamp`, detached.
    """
    x = x.detach()
    adversarial = x if start is None else _into(clamp, x + start)
    score = cross_entropy_with(y)
    with fast_memory_format(model, x):
        for _ in range(steps):
            _, gradient = input_gradient(model, adversarial, score)
            adversarial = _step(x, adversarial, gradient, ball, step_size, clamp)
    return adversarial


def worst_case(
    model: nn.Module,
    x: Image,
    y: Labels,
    ball: Ball,
    *,
    step_size: float,
    steps: int,
    starts: Sequence[Tensor | None],
) -> tuple[Image, Tensor]:
    """PGD for evaluation: restarts, true labels, and no work on images that are already fooled.

    An image counts as fooled as soon as one iterate of one restart is misclassified (the clean image included), which
    is at least as strict as looking at the last iterate only.

    Parameters
    ----------
    starts
        One first perturbation [B, C, H, W] for every restart (None starts at x).

    Returns
    -------
    images
        [B, C, H, W]: for fooled images the iterate that fooled the model, so that the accuracy recomputed on the
        returned images is the reported one; for the others the last iterate of the last restart.
    robust
        bool [B]: correctly classified at x and at every iterate.
    """
    check_images(x, y)
    with fast_memory_format(model, x):
        return _worst_case(model, x, y, ball, step_size, steps, starts)


def _worst_case(
    model: nn.Module, x: Image, y: Labels, ball: Ball, step_size: float, steps: int, starts: Sequence[Tensor | None]
) -> tuple[Image, Tensor]:
    found = x.detach().clone()
    with torch.no_grad():
        logits = model(x)
    check_labels(y, logits.shape[1])
    robust = logits.argmax(1) == y
    for start in starts:
        active = robust.nonzero().squeeze(1)
        clean, current = x[active], _into(PIXELS, x[active] if start is None else x[active] + start[active])
        for step in range(steps + 1):
            if len(active) == 0:
                break
            logits, gradient = _logits_and_gradient(model, current, y[active], last=step == steps)
            found[active] = current
            correct = logits.argmax(1) == y[active]
            robust[active] = correct
            if gradient is not None:
                current = _step(clean, current, gradient, ball, step_size, PIXELS)[correct]
            active, clean = active[correct], clean[correct]
    return found, robust


def _logits_and_gradient(model: nn.Module, x: Image, y: Labels, *, last: bool) -> tuple[Tensor, Tensor | None]:
    if last:  # the last iterate is only looked at
        with torch.no_grad():
            return model(x), None
    return input_gradient(model, x, cross_entropy_with(y))


def _step(
    x: Image, adversarial: Image, gradient: Tensor, ball: Ball, step_size: float, clamp: tuple[float, float] | None
) -> Image:
    moved = adversarial + step_size * ball.steepest(gradient)
    return _into(clamp, x + ball.project(moved - x))


def _into(clamp: tuple[float, float] | None, x: Image) -> Image:
    return x if clamp is None else x.clamp(*clamp)
