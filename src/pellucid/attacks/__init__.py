"""Attacks: the geometry of the ball (`ball`), projected gradient descent in it (`pgd`), attacks on the explanation.

`explanation` holds the attacks that change the map and not the prediction, `held_out` perturbations without any aim.
"""

from pellucid.attacks import explanation, held_out
from pellucid.attacks.ball import L2, Ball, Linf, ball, sample_per_image
from pellucid.attacks.explanation import BUDGETS, Attacked, Budget
from pellucid.attacks.pgd import pgd, step_length, worst_case

__all__ = [
    "BUDGETS",
    "L2",
    "Attacked",
    "Ball",
    "Budget",
    "Linf",
    "ball",
    "explanation",
    "held_out",
    "pgd",
    "sample_per_image",
    "step_length",
    "worst_case",
]
