"""Feature maps before and after the smoothing block."""

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from pellucid.report.arms import Column, representatives
from pellucid.report.figures.style import WIDTH, Picture, blank, look, new_figure, picture
from pellucid.report.runs import Run

CHANNELS = 8
MODELS = 4
Features: TypeAlias = npt.NDArray[Any]


def feature_maps(models: Sequence[Column]) -> Picture | None:
    """Two lines per model with a block (before, after), a column a channel, one scale for both maps of a channel."""
    runs = representatives(models)
    pairs = [(run, *found) for run in runs if (found := _features(run)) is not None][:MODELS]
    if not pairs:
        return None
    columns = max(len(before) for _, before, _ in pairs)
    with look("feature-maps"):
        size = min(1.1, (WIDTH - 0.8) / columns)
        figure = new_figure(size * 2 * len(pairs) + 0.55, width=size * columns + 0.8)
        panels = figure.subplots(2 * len(pairs), columns, squeeze=False)
        for axes in panels.flat:
            blank(axes)
        for index, (run, before, after) in enumerate(pairs):
            for channel, both in enumerate(zip(before, after, strict=True)):
                _pair(panels[2 * index : 2 * index + 2, channel].flat, both)
            panels[2 * index, 0].set_ylabel(f"{run.name}\nbefore", fontsize=7.5)
            panels[2 * index + 1, 0].set_ylabel(f"{run.name}\nafter", fontsize=7.5)
        for channel in range(columns):
            panels[0, channel].set_title(f"channel {channel + 1}", fontsize=7.5)
        names = ", ".join(f"{run.name} (after {run.layer})" if run.layer else run.name for run, _, _ in pairs)
        return picture(
            figure,
            name="feature-maps",
            title="Feature maps before and after the SmoothBlock",
            caption=(
                f"The first example image inside {names}. The two maps of a channel share one colour scale, from the "
                f"smallest to the largest value of both; channels do not share one. {columns} channels shown."
            ),
            alt=f"Feature maps before and after the smoothing block of {', '.join(run.name for run, _, _ in pairs)}.",
        )


def _pair(panels: Iterable[Axes], both: tuple[Features, Features]) -> None:
    """One channel before and after, on the scale of both."""
    low, high = float(np.nanmin(both)), float(np.nanmax(both))
    for axes, values in zip(panels, both, strict=True):
        axes.imshow(values, cmap="viridis", vmin=low, vmax=high, interpolation="none")


def _features(run: Run) -> tuple[Features, Features] | None:
    """At most CHANNELS channels before and after the block, None for a run without."""
    examples = run.examples
    if examples is None or examples.before is None or examples.after is None:
        return None
    return examples.before[:CHANNELS], examples.after[:CHANNELS]
