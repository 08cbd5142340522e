"""Vector figures of a report. One new figure = one file with a function + one import line here.

Each function takes the columns (runs, or arms of several seeds) and returns a :class:`Picture`, or None where they hold
nothing to draw.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pellucid.report.arms import Column
from pellucid.report.figures.bars import cost, trade_off
from pellucid.report.figures.curvature import curvature_against_instability
from pellucid.report.figures.curves import road_curves, similarity_curves, training_curves
from pellucid.report.figures.features import feature_maps
from pellucid.report.figures.pareto import pareto
from pellucid.report.figures.saliency import saliency_grid
from pellucid.report.figures.style import Picture

__all__ = [
    "Picture",
    "cost",
    "curvature_against_instability",
    "feature_maps",
    "pareto",
    "road_curves",
    "saliency_grid",
    "similarity_curves",
    "trade_off",
    "training_curves",
]


def draw_all(columns: Sequence[Column], suffix: str = "") -> list[Picture]:
    """Every figure of `__all__` that the runs or arms have something for; `suffix` ends the figures' names."""
    functions = [globals()[name] for name in __all__ if name != "Picture"]
    drawn = [picture for function in functions if (picture := function(columns)) is not None]
    return [replace(picture, name=f"{picture.name}{suffix}") for picture in drawn]


def files(pictures: Sequence[Picture]) -> dict[Path, str | bytes]:
    """Every picture as `figures/<name>.svg` and `.pdf`."""
    vectors = [(Path("figures") / f"{one.name}.svg", one.svg) for one in pictures]
    prints = [(Path("figures") / f"{one.name}.pdf", one.pdf) for one in pictures]
    return dict(sorted([*vectors, *prints], key=lambda file: str(file[0])))
