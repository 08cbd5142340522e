"""Sparsity: ``f(maps [B, …]) -> [B]`` float64, per image. A new one is one file and one line here."""

from pellucid.metrics.sparsity.gini import gini, gini_legacy
from pellucid.metrics.sparsity.group_sparsity import group_gini, quiet_groups

__all__ = ["gini", "gini_legacy", "group_gini", "quiet_groups"]
