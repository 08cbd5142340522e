"""Adversarial attacks: the geometry of the ball (`ball`) and projected gradient descent in it (`pgd`)."""

from pellucid.attacks.ball import L2, Ball, Linf, ball, sample_per_image
from pellucid.attacks.pgd import pgd, worst_case

__all__ = ["L2", "Ball", "Linf", "ball", "pgd", "sample_per_image", "worst_case"]
