"""Adversarial training with one step from a random start (Wong, Rice & Kolter 2020), and the alarm it needs."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from pellucid.attacks import Linf
from pellucid.gradients import cross_entropy_with, input_gradient
from pellucid.modes import mode, unwrapped
from pellucid.naming import NonNegative, Positive
from pellucid.types import Image, Labels, Loss, check_images


def fast_adversarial(
    model: nn.Module,
    x: Image,
    y: Labels,
    *,
    generator: torch.Generator,
    eps: NonNegative,
    step_size: Positive | None = None,
) -> Loss:
    """Mean cross-entropy of images after one signed step from a random point of the L∞ ball (Wong et al. 2020, alg. 3).

    x' = clamp(x + Π(u + α·sign ∇CE(clamp(x + u))), 0, 1), u uniform in [-eps, eps]; the attack sees the model in eval
    mode. Two forward and backward passes, against T + 1 of :func:`adversarial`.

    Its danger is *catastrophic overfitting*: within an epoch the model learns to withstand this one step only, and
    its PGD accuracy falls towards 0. Validate with PGD, and let :func:`overfitting_alarm` read the history.

    Parameters
    ----------
    x, y
        Images [B, C, H, W] in [0, 1] and labels [B].
    generator
        Draws the random start.
    eps
        Radius of the L∞ ball, in pixel units.
    step_size
        α, in pixel units; by default 1.25·eps (the paper's choice; larger steps overfit sooner).

    Returns
    -------
    The loss; its parts, at no extra pass, are ``adversarial_cross_entropy``; ``fooled``, the share of the batch that
    is misclassified after the step (in the training forward); ``wrong_at_start``, the share misclassified at the
    random start (in the attack's forward, so in eval mode). A step that does its work keeps the first well above the
    second.

    Raises
    ------
    BadInput
        If eps is negative or not finite, or images or labels are impossible.
    """
    check_images(x, y)
    region = Linf(eps)
    alpha = 1.25 * eps if step_size is None else step_size
    start = (x + region.sample(x, generator)).clamp(0, 1)
    with mode(model, training=False):
        start_logits, gradient = input_gradient(unwrapped(model), start, cross_entropy_with(y))
    moved = start + alpha * region.steepest(gradient)
    logits = model((x + region.project(moved - x)).clamp(0, 1))
    loss = cross_entropy(logits, y)
    parts = {
        "adversarial_cross_entropy": loss.detach(),
        "fooled": (logits.detach().argmax(1) != y).to(loss.dtype).mean(),
        "wrong_at_start": (start_logits.argmax(1) != y).to(loss.dtype).mean(),
    }
    return Loss(loss, parts)


def overfitting_alarm(history_rows: Sequence[Mapping[str, Any]]) -> str | None:
    """One sentence on the first epoch that shows catastrophic overfitting in a run of :func:`fast_adversarial`.

    Both must hold, compared with the epoch of best PGD accuracy before it: the PGD accuracy on validation images has
    fallen by more than 10 points and to less than half, and the one-step attack fools no larger share of the training
    images. (If it fools more, the model lost its accuracy altogether, which is another failure.) The two thresholds
    are ours; the phenomenon takes PGD accuracy to nearly 0, and ordinary robust overfitting costs a few points.

    Parameters
    ----------
    history_rows
        Rows of ``history.jsonl`` in order: ``epoch``, ``robust_accuracy`` in [0, 1] or None, ``parts`` with ``fooled``.

    Returns
    -------
    The sentence, or None if no epoch shows it. Rows without PGD accuracy or without ``fooled`` cannot show it and are
    passed over: None from a run without robust validation says nothing.
    """
    best: Mapping[str, Any] | None = None
    for row in history_rows:
        if row.get("robust_accuracy") is None or "fooled" not in row.get("parts", {}):
            continue
        if best is None or row["robust_accuracy"] >= best["robust_accuracy"]:
            best = row
        elif _collapsed(best, row):
            return (
                f"catastrophic overfitting in epoch {row['epoch']}: PGD accuracy fell from "
                f"{best['robust_accuracy']:.3f} (epoch {best['epoch']}) to {row['robust_accuracy']:.3f} while the "
                f"one-step attack fools {row['parts']['fooled']:.3f} of the training images "
                f"(before: {best['parts']['fooled']:.3f}); lower step_size or eps, or train with PGD"
            )
    return None


def _collapsed(best: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    before, now = best["robust_accuracy"], row["robust_accuracy"]
    unseen = row["parts"]["fooled"] <= best["parts"]["fooled"]
    return bool(now < before - 0.1 and now < before / 2 and unseen)
