"""Sparsity: ``f(maps [B, …]) -> [B]`` float64, per image. A new one is one file and one line here."""

from pellucid.metrics.sparsity.gini import gini, gini_legacy

__all__ = ["gini", "gini_legacy"]
