"""Adversarial training exactly as the published T3S code does it, quirk by quirk (definitions §1.3)."""

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Le
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from pellucid.attacks import Linf, pgd
from pellucid.errors import BadInput
from pellucid.modes import mode, unwrapped
from pellucid.naming import Count, NonNegative, Positive
from pellucid.types import Image, Labels, Loss


@dataclass(frozen=True, kw_only=True)
class Quirks:
    """Where the published code departs from textbook adversarial training. The defaults are its Fashion-MNIST script.

    Attributes
    ----------
    label
        "predicted": move away from the model's own prediction on the clean images (D-T5); "true": from the label.
    mode
        "train": the attack runs in train mode, uses batch statistics and updates BatchNorm's (D-T11); or "eval".
    space
        "normalised": eps, step and clamp act behind the model's normalisation layer (D-T7); or "pixel".
    clamp
        Range after every step in that space; None in two scripts (D-T6), (0, 1) *in normalised space* for ImageNette,
        which destroys most of the image (D-T8).
    share
        Probability that a batch is attacked at all; 0.5 for ImageNette (D-T10).
    """

    label: Literal["true", "predicted"] = "predicted"
    mode: Literal["train", "eval"] = "train"
    space: Literal["pixel", "normalised"] = "pixel"
    clamp: tuple[float, float] | None = None
    share: Annotated[float, Ge(0), Le(1)] = 1.0


def adversarial_legacy(
    model: nn.Module,
    x: Image,
    y: Labels,
    *,
    generator: torch.Generator,
    eps: NonNegative,
    step_size: Positive,
    steps: Count,
    quirks: Quirks = Quirks(),
) -> Loss:
    """Mean cross-entropy of L∞-PGD images with the published code's quirks; eps and step_size in ``quirks.space``.

    The three published settings stand in ``configs/legacy-*.yaml``.

    Parameters
    ----------
    x, y
        Images [B, C, H, W] in [0, 1] and labels [B].
    generator
        Decides whether the batch is attacked and draws the random start.
    """
    if torch.rand((), generator=generator) >= quirks.share:
        loss = cross_entropy(model(x), y)
        return Loss(loss, {"cross_entropy": loss.detach()})
    with mode(model, training=quirks.mode == "train"):
        attacked = _attack(unwrapped(model), x, y, Linf(eps), (step_size, steps), generator, quirks)
    loss = cross_entropy(model(attacked), y)
    return Loss(loss, {"adversarial_cross_entropy": loss.detach()})


def _attack(
    model: nn.Module,
    x: Image,
    y: Labels,
    region: Linf,
    schedule: tuple[float, int],
    generator: torch.Generator,
    quirks: Quirks,
) -> Tensor:
    network, image, back = in_space(model, x, quirks.space)
    target = y
    if quirks.label == "predicted":
        with torch.no_grad():
            target = network(image).argmax(1)
    step_size, steps = schedule
    start = region.sample(image, generator)
    attacked = pgd(network, image, target, region, step_size=step_size, steps=steps, start=start, clamp=quirks.clamp)
    return attacked * back[1] + back[0]


def in_space(model: nn.Module, x: Image, space: str) -> tuple[nn.Module, Image, tuple[Tensor | float, Tensor | float]]:
    """The network and image of that space, and (mean, std) that lead back to pixels."""
    if space == "pixel":
        return model, x, (0.0, 1.0)
    if not hasattr(model, "normalise") or not hasattr(model, "network"):
        raise BadInput("the published normalised space needs a model made by pellucid.models.normalised.normalised")
    normalise, network = model.normalise, model.network
    return network, normalise(x), (normalise.mean, normalise.std)  # type: ignore[operator,return-value]
