"""What a norm of the loss gradient costs at an image, and the perturbation that training puts in its place."""

from collections.abc import Sequence
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from pellucid.attacks.duality import Penalty
from pellucid.attributions.quadrature import gauss_legendre
from pellucid.errors import BadInput
from pellucid.experiments import penalties
from pellucid.experiments.config import override_key
from pellucid.experiments.explain import images_like
from pellucid.experiments.train import load_run
from pellucid.gradients import cross_entropy_with, input_gradient
from pellucid.modes import mode
from pellucid.naming import find, options_of
from pellucid.types import Image, Labels, check_images

METHODS = ("penalty", "conjugate", "maximiser")


@dataclass(frozen=True)
class Duality:
    """A penalty h and the gradient g of one image's loss (definitions §2.1).

    Attributes
    ----------
    perturbed
        [C, H, W]: x + δ* clamped to [0, 1], as training uses it.
    maps
        "gradient" g, "contribution" of every entry to h*(g), "perturbation" δ* (not clamped), each [C, H, W].
    numbers
        "conjugate" h*(g), "attained" ⟨g, δ*⟩ - h(δ*), which is the same; "before" ℓ(x), "predicted" ℓ(x) + ⟨g, δ⟩ and
        "actual" ℓ(x + δ), with δ = δ* clamped.
    """

    perturbed: NDArray[np.float32]
    maps: dict[str, NDArray[np.float32]]
    numbers: dict[str, float]


def make_penalty(name: str, options: Sequence[str]) -> Penalty:
    """The penalty called `name`, or at the dotted path `name`, with options as ``key=value``.

    Raises
    ------
    BadInput
        If there is none, an option is wrong, or what was made is no :class:`pellucid.attacks.duality.Penalty`.
    """
    given: dict[str, Any] = {}
    for option in options:
        override_key(given, option)
    make = find(penalties, name, "penalty")
    checked = options_of(make, given, where=f"penalty '{name}'")
    try:
        signature(make).bind(**checked)
    except (TypeError, ValueError) as error:  # ValueError: some builtins do not say what they take
        raise BadInput(
            f"the penalty '{name}' is made from its options alone, as a class of norms is: {error}"
        ) from error
    made = make(**checked)
    missing = [method for method in METHODS if not callable(getattr(made, method, None))]
    if missing:
        raise BadInput(f"the penalty '{name}' needs the methods {', '.join(METHODS)}; it has no {missing[0]}")
    return made  # type: ignore[no-any-return]


def contribution(penalty: Penalty, gradient: Tensor, *, nodes: int = 16) -> Tensor:
    """How much every entry of the gradient adds to h*(g), in the shape of g.

    h* grows along the way from 0 to g at the rate ⟨δ*(t·g), g⟩, so entry i has the share g_i·∫₀¹ δ*_i(t·g) dt, and all
    shares together h*(g) - h*(0). For L1 that is eps·|g_i|, for the group norm eps·g_i²/‖g_G‖₂.

    Parameters
    ----------
    nodes
        Of the Gauss–Legendre rule: exact where δ*(t·g) is a polynomial in t, as it is for all norms.
    """
    places, weights = gauss_legendre(nodes)
    parts = [weight * penalty.maximiser(place * gradient) for place, weight in zip(places, weights, strict=True)]
    return gradient * torch.stack(parts).sum(0)


def explain_duality(run: Path, paths: list[Path], penalty: Penalty) -> list[tuple[NDArray[np.float32], Duality]]:
    """Every image file as the run sees it, [C, H, W], and what the penalty does there; labels are the predictions.

    Raises
    ------
    BadInput
        If the run or an image cannot be used.
    """
    _, _, model, splits = load_run(run)
    x = images_like(splits.test, paths)
    with torch.no_grad():
        y = model(x).argmax(1)
    return list(zip(x.numpy(), duality(model, x, y, penalty), strict=True))


def duality(model: nn.Module, x: Image, y: Labels, penalty: Penalty) -> list[Duality]:
    """What the penalty does at each image, in eval mode and double precision.

    Parameters
    ----------
    x, y
        Images [B, C, H, W] in [0, 1] and the labels [B] of the cross-entropy.
    """
    check_images(x, y)
    with mode(model, training=False):
        logits, gradient = input_gradient(model, x, cross_entropy_with(y))
        g = gradient.double()
        perturbation = penalty.maximiser(g)
        if perturbation.shape != g.shape:
            shapes = f"{tuple(perturbation.shape)} for a gradient of shape {tuple(g.shape)}"
            raise BadInput(f"a penalty's maximiser must return a perturbation of every entry; it returned {shapes}")
        if g.isfinite().all() and (wrong := int((~perturbation.isfinite()).sum())):
            raise BadInput(
                f"a penalty's maximiser must return finite numbers; {wrong} of {g.numel()} it returned are not "
                "(often 0/0: let it return 0 where the gradient is 0)"
            )
        perturbed = (x + perturbation).clamp(0, 1).to(x)
        with torch.no_grad():
            actual = cross_entropy(model(perturbed).double(), y, reduction="none")
    before = cross_entropy(logits.double(), y, reduction="none")
    numbers = {
        "conjugate": penalty.conjugate(g),
        "attained": (g * perturbation).flatten(1).sum(1) - penalty.penalty(perturbation),
        "before": before,
        "predicted": before + (g * (perturbed - x)).flatten(1).sum(1),
        "actual": actual,
    }
    maps = {"gradient": g, "contribution": contribution(penalty, g), "perturbation": perturbation}
    return [
        Duality(
            perturbed[i].float().cpu().numpy(),
            {name: values[i].float().cpu().numpy() for name, values in maps.items()},
            {name: float(values[i]) for name, values in numbers.items()},
        )
        for i in range(len(x))
    ]
