"""Rules for ∫₀¹ f(α) dα ≈ Σ w_i f(α_i): the ways to integrate gradients along a path."""

from collections.abc import Callable

import numpy as np
import torch

from pellucid.errors import BadInput, unknown_name

Rule = tuple[list[float], list[float]]
"""Nodes in [0, 1] and their weights."""


def gauss_legendre(steps: int) -> Rule:
    """Exact for polynomials of degree up to 2·steps − 1: the most accurate rule for a smooth path."""
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    return ((1 + nodes) / 2).tolist(), (weights / 2).tolist()


def midpoint(steps: int) -> Rule:
    """The middles of `steps` equal intervals: second order, positive weights, no end points."""
    return ((np.arange(steps) + 0.5) / steps).tolist(), [1 / steps] * steps


def trapezoid(steps: int) -> Rule:
    """The composite trapezoid rule on `steps` nodes: weights 1/(steps − 1), half of it at both ends, sum 1."""
    return np.linspace(0, 1, steps).tolist(), _ends_halved(1 / (steps - 1), steps)


def trapezoid_legacy(steps: int) -> Rule:
    """Captum's ``riemann_trapezoid``, which T3S used through Quantus with 10 steps.

    Its weights are 1/steps instead of 1/(steps − 1), so that they sum to (steps − 1)/steps and the attributions miss
    that share of the change of the logit. Nodes and weights are rounded to float32, as in Captum (definitions §4.0,
    D-M11).
    """
    nodes = torch.linspace(0, 1, steps, dtype=torch.float32)
    weights = torch.tensor(_ends_halved(1 / steps, steps), dtype=torch.float32)
    return nodes.tolist(), weights.tolist()


RULES: dict[str, Callable[[int], Rule]] = {
    "gauss_legendre": gauss_legendre,
    "midpoint": midpoint,
    "trapezoid": trapezoid,
    "trapezoid_legacy": trapezoid_legacy,
}


def quadrature(rule: str, steps: int) -> Rule:
    """Nodes and weights of the rule with this name ('-' and '_' are the same).

    Raises
    ------
    BadInput
        If there is no such rule, or it cannot have so few steps.
    """
    name = rule.replace("-", "_")
    if name not in RULES:
        raise unknown_name("quadrature rule", rule, RULES)
    fewest = 2 if name.startswith("trapezoid") else 1  # a trapezoid has two ends
    if steps < fewest:
        raise BadInput(f"integrated gradients by the rule {name} need at least {fewest} steps; got {steps}")
    return RULES[name](steps)


def _ends_halved(weight: float, steps: int) -> list[float]:
    return [weight / 2, *[weight] * (steps - 2), weight / 2]
