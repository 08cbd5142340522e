"""Penalties on perturbations, by the name that ``pellucid explain --duality`` takes: ``f(*, options) -> Penalty``."""

from pellucid.attacks.duality import L1, ElasticNet, GroupNorm
from pellucid.naming import Count, NonNegative

__all__ = ["elastic_net", "group_norm", "l1"]


def elastic_net(*, eps: NonNegative, eps2: NonNegative) -> ElasticNet:
    """:class:`pellucid.attacks.duality.ElasticNet`: eps·‖g‖₁ + eps2·‖g‖₂²."""
    return ElasticNet(eps, eps2)


def group_norm(*, eps: NonNegative, block: Count = 2, joint_channels: bool = False) -> GroupNorm:
    """:class:`pellucid.attacks.duality.GroupNorm`: eps·Σ_G‖g_G‖₂; the block suits images of 28 and 32 pixels."""
    return GroupNorm(eps, block, joint_channels)


def l1(*, eps: NonNegative) -> L1:
    """:class:`pellucid.attacks.duality.L1`: eps·‖g‖₁."""
    return L1(eps)
