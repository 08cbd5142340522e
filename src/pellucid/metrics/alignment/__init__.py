"""Alignment: how far a saliency map points where people look. ``f(saliency, attention) -> [B]`` float64, per image.

A new one is one file and one line here.
"""

from pellucid.metrics.alignment.auc import auc
from pellucid.metrics.alignment.energy_inside import energy_inside
from pellucid.metrics.alignment.nss import nss
from pellucid.metrics.alignment.pointing_game import pointing_game

__all__ = ["auc", "energy_inside", "nss", "pointing_game"]
