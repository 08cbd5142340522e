"""Weights of regularisers over a run: warm-up, and the closed loop that steers one towards a target."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from pellucid import regularisers
from pellucid.data.dataset import Dataset
from pellucid.naming import find, options_of
from pellucid.randomness import generator
from pellucid.regularisers.composition import Regulariser, regularised
from pellucid.training.settings import RegulariserSettings
from pellucid.training.step import Objective, to_device
from pellucid.types import Image, Labels, Loss

CONTROL_STEPS, CONTROL_IMAGES = 10, 128
"""How often the closed loop looks, and at how many validation images."""


@dataclass(frozen=True)
class Term:
    """A regulariser with its options bound, and how its weight develops."""

    name: str
    function: Regulariser
    settings: RegulariserSettings

    def full_weight(self, weights: Mapping[str, float]) -> float:
        """The weight after the warm-up; `weights` holds what the closed loop has found so far."""
        return weights.get(self.name, self.settings.weight)

    def weight(self, step: int, steps: int, weights: Mapping[str, float]) -> float:
        """The weight in step `step` of `steps`: 0 where the term is left out."""
        warm_up, every = self.settings.warm_up * steps, self.settings.every
        share = min(1.0, step / warm_up) if warm_up else 1.0
        return 0.0 if step % every else every * share * self.full_weight(weights)


@dataclass(frozen=True)
class Regularised:
    """An objective with regularisers. Called as an objective it has their full weights, and leaves none out."""

    objective: Objective
    terms: tuple[Term, ...] = ()

    def __call__(self, model: nn.Module, x: Image, y: Labels, *, generator: torch.Generator, **inputs: Tensor) -> Loss:
        """The loss with every term at its full weight."""
        terms = {term.name: (term.full_weight({}), term.function) for term in self.terms}
        return regularised(self.objective, terms)(model, x, y, generator=generator, **inputs)

    def at(self, step: int, steps: int, weights: Mapping[str, float]) -> Objective:
        """The objective with the weights that hold in step `step` of `steps`."""
        terms = {term.name: (term.weight(step, steps, weights), term.function) for term in self.terms}
        return regularised(self.objective, terms)

    def steered(
        self, model: nn.Module, validation: Dataset, weights: Mapping[str, float], *, step: int, seed: int
    ) -> dict[str, float]:
        """The weights after one look of the closed loop at validation images, for terms that have a target.

        Dual ascent: λ ← clip(λ + η·(value - target), 0, max_weight), η per step (definitions §3).
        """
        steered = dict(weights)
        for term in self.terms:
            if term.settings.target is not None:
                value = _value(term, model, validation, step=step, seed=seed)
                moved = term.full_weight(weights) + CONTROL_STEPS * term.settings.rate * (value - term.settings.target)
                steered[term.name] = min(max(moved, 0.0), term.settings.max_weight)
        return steered

    def is_steered_at(self, step: int) -> bool:
        """Whether the closed loop looks after `step` steps."""
        return step % CONTROL_STEPS == 0 and any(term.settings.target is not None for term in self.terms)


def regularise(objective: Objective, specs: "tuple[RegulariserSettings, ...]") -> Regularised:
    """The objective with the regularisers of a config. Raises BadInput for unknown names and options."""
    return Regularised(objective, tuple(_term(spec) for spec in specs))


def _term(spec: RegulariserSettings) -> Term:
    function = find(regularisers, spec.name, "regulariser")
    options = options_of(function, spec.options, where=f"regulariser '{spec.name}'", supplied={"generator"})
    return Term(spec.name.replace("-", "_"), partial(function, **options), spec)


def _value(term: Term, model: nn.Module, validation: Dataset, *, step: int, seed: int) -> float:
    """The term's mean over the next validation images; every process sees the same ones."""
    positions = (torch.arange(CONTROL_IMAGES) + step // CONTROL_STEPS * CONTROL_IMAGES) % len(validation)
    x, y = to_device(validation.batch(positions[: len(validation)]), model)
    draws = generator(seed, "closed loop", term.name, step)
    return float(term.function(model, x, y, generator=draws).detach().mean())
