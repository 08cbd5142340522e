"""Vector figures of a report. One new figure = one file with a function + one import line here.

Each function takes the runs and returns a :class:`Picture`, or None where the runs hold nothing to draw.
"""

from collections.abc import Sequence

from pellucid.report.figures.bars import cost, trade_off
from pellucid.report.figures.curvature import curvature_against_instability
from pellucid.report.figures.curves import road_curves, similarity_curves, training_curves
from pellucid.report.figures.features import feature_maps
from pellucid.report.figures.saliency import saliency_grid
from pellucid.report.figures.style import Picture
from pellucid.report.runs import Run

__all__ = [
    "Picture",
    "cost",
    "curvature_against_instability",
    "feature_maps",
    "road_curves",
    "saliency_grid",
    "similarity_curves",
    "trade_off",
    "training_curves",
]


def draw_all(runs: Sequence[Run]) -> list[Picture]:
    """Every figure of `__all__` that the runs have something for."""
    functions = [globals()[name] for name in __all__ if name != "Picture"]
    return [picture for function in functions if (picture := function(runs)) is not None]
