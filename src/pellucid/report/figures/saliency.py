"""The grid of images × models × attributions on one colour scale."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from pellucid.report.arms import Column, representatives
from pellucid.report.contents import attribution_names
from pellucid.report.figures.style import WIDTH, Picture, blank, look, new_figure, picture
from pellucid.report.runs import Examples, Run
from pellucid.report.words import attribution_name, number

MODELS = 6
"""More models than this do not fit on a page; the caption says so."""


@dataclass(frozen=True)
class _Column:
    """The maps of one attribution of one model."""

    attribution: str
    name: str
    examples: Examples


def saliency_grid(models: Sequence[Column]) -> Picture | None:
    """Rows: images. Columns: the image, then every model's map for each attribution; of an arm, its first seed's.

    Each map is divided by the 99th percentile of its own absolute values and all of one attribution then share one
    colour scale. A scale shared without that division would show nothing of a model whose gradients are small.
    """
    runs = representatives(models)
    shown = _chosen(runs)
    ids = _shared_ids(shown)
    names = [name for name in attribution_names(runs) if any(_maps(run, name) is not None for run in shown)]
    if not ids or not names:
        return None
    columns = [
        _Column(name, run.name, run.examples)
        for name in names
        for run in shown
        if run.examples is not None and name in run.examples.maps
    ]
    with look("saliency-grid"):
        grid = _Grid(rows=len(ids), sizes=[sum(one.attribution == name for one in columns) for name in names])
        figure = grid.figure
        for row, which in enumerate(ids):
            _image(grid.axes(row, 0), shown[0], which, width=72 * grid.cell)
            for place, column in enumerate(columns, start=1):
                _map(grid.axes(row, place), column, which, signed=_signed(column.attribution, columns))
        figure.axes[0].set_title("image", pad=3)
        for axes, column in zip(figure.axes[1 : len(columns) + 1], columns, strict=True):
            title, size = _fitting(column.name, 72 * grid.cell)
            axes.set_title(title, pad=3, fontsize=size)
        for block, name in enumerate(names):
            grid.head(block, attribution_name(name))
            _colour_bar(grid, block, signed=_signed(name, columns))
        return picture(
            figure,
            name="saliency-grid",
            title="Saliency maps",
            caption=_caption(columns, names, left_out=len(runs) - len(shown)),
            alt=f"Grid of {len(ids)} images and their saliency maps for {', '.join(run.name for run in shown)}.",
        )


class _Grid:
    """Square cells: the image column, then a block of columns and a colour bar for each attribution; in inches."""

    left, top, bottom, gap, between = 0.25, 0.42, 0.5, 0.05, 0.18

    def __init__(self, *, rows: int, sizes: Sequence[int]) -> None:
        self.sizes = sizes
        spare = self.left + 0.05 + self.between * len(sizes) + self.gap * (sum(sizes) - len(sizes))
        self.cell = min(1.0, (WIDTH - spare) / (1 + sum(sizes)))
        self.height = self.top + self.bottom + rows * self.cell + (rows - 1) * self.gap
        self.figure = new_figure(self.height, width=spare + self.cell * (1 + sum(sizes)), arranged=False)
        self.width = self.figure.get_figwidth()

    def _x(self, column: int) -> float:
        """The left edge of a column, in inches; column 0 is the image."""
        blocks = sum(column > first for first in self._firsts()) if column else 0
        return self.left + column * (self.cell + self.gap) + blocks * (self.between - self.gap)

    def _firsts(self) -> list[int]:
        """How many columns stand before each block."""
        return [sum(self.sizes[:block]) for block in range(len(self.sizes))]

    def _place(self, x: float, y: float, width: float, height: float) -> Axes:
        return self.figure.add_axes((x / self.width, y / self.height, width / self.width, height / self.height))

    def axes(self, row: int, column: int) -> Axes:
        """The cell of a row (0 on top) and a column."""
        y = self.height - self.top - (row + 1) * self.cell - row * self.gap
        return self._place(self._x(column), y, self.cell, self.cell)

    def _span(self, block: int) -> tuple[float, float]:
        first = self._firsts()[block] + 1
        start = self._x(first)
        return start, self._x(first + self.sizes[block] - 1) + self.cell - start

    def head(self, block: int, text: str) -> None:
        """The attribution's name above its columns."""
        start, width = self._span(block)
        place = (start + width / 2) / self.width
        self.figure.text(place, 1 - 0.12 / self.height, text, ha="center", va="center", weight="bold")

    def below(self, block: int) -> Axes:
        """Room for the colour bar of a block."""
        start, width = self._span(block)
        room = 0.15  # so that the end ticks' labels stay inside
        return self._place(start + room, self.bottom - 0.15, width - 2 * room, 0.08)


def _chosen(runs: Sequence[Run]) -> list[Run]:
    """At most MODELS runs of one data set that hold examples: one of every role before a second of any."""
    held = [run for run in runs if run.examples is not None and run.setting[:2] == runs[0].setting[:2]]
    turn = {run.name: sum(other.role == run.role for other in held[:place]) for place, run in enumerate(held)}
    names = sorted(turn, key=lambda name: turn[name])[:MODELS]
    return [run for run in held if run.name in names]


def _maps(run: Run, name: str) -> npt.NDArray[Any] | None:
    return None if run.examples is None else run.examples.maps.get(name)


def _shared_ids(runs: Sequence[Run]) -> list[int]:
    """Images that every run has maps of, in the order of the first run."""
    held = [run.examples for run in runs if run.examples is not None]
    if not held:
        return []
    shared = [int(one) for one in held[0].ids if all(one in other.ids for other in held)]
    return shared[: 8 if held[0].images.shape[-1] <= 64 else 4]  # large images make large files


def _image(axes: Axes, run: Run, which: int, *, width: float) -> None:
    examples = run.examples
    if examples is None:
        return
    place = list(examples.ids).index(which)
    image = np.clip(np.moveaxis(examples.images[place], 0, -1), 0, 1)
    gray = image.shape[-1] == 1
    axes.imshow(image[..., 0] if gray else image, cmap="gray", vmin=0, vmax=1, interpolation="none")
    blank(axes)
    name = _clipped(run.class_name(int(examples.labels[place])))
    axes.set_ylabel(name, rotation=90, fontsize=min(7.0, _fitting(name, width)[1]))


def _map(axes: Axes, column: _Column, which: int, *, signed: bool) -> None:
    values = column.examples.maps[column.attribution][list(column.examples.ids).index(which)]
    axes.imshow(divided(values), interpolation="none", **colours(signed))
    blank(axes)
    if not values.any():
        axes.text(0.5, 0.5, "zero map", transform=axes.transAxes, ha="center", va="center", color="#8a8f98", fontsize=6)


def _scale(values: npt.NDArray[np.float64]) -> float:
    """The 99th percentile of |values|, or their maximum where fewer than 1 % are not zero; NaN counts as zero."""
    size = np.abs(np.nan_to_num(values))
    return float(np.percentile(size, 99)) or float(size.max())


def divided(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """A map divided by the 99th percentile of its absolute values; a zero map stays zero."""
    scale = _scale(values.astype(np.float64))
    return values.astype(np.float64) / (scale or 1.0)


def _median_scale(column: _Column) -> float:
    return float(np.median([_scale(values) for values in column.examples.maps[column.attribution]]))


def _signed(attribution: str, columns: Sequence[_Column]) -> bool:
    """Whether any model's maps of this attribution have negative entries."""
    mine = [column.examples.maps[attribution] for column in columns if column.attribution == attribution]
    return any(bool((maps < 0).any()) for maps in mine)


def colours(signed: bool) -> dict[str, Any]:
    """Diverging around 0 for signed maps, sequential otherwise; both readable without red-green vision."""
    return {"cmap": "RdBu_r", "vmin": -1, "vmax": 1} if signed else {"cmap": "inferno", "vmin": 0, "vmax": 1}


def _colour_bar(grid: _Grid, block: int, *, signed: bool) -> None:
    kind = colours(signed)
    mappable = ScalarMappable(Normalize(kind["vmin"], kind["vmax"]), kind["cmap"])
    ticks = [-1, -0.5, 0, 0.5, 1] if signed else [0, 0.25, 0.5, 0.75, 1]
    bar = grid.figure.colorbar(mappable, cax=grid.below(block), orientation="horizontal", ticks=ticks)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=2, labelsize=7)
    bar.set_label("map ÷ its own 99th percentile", fontsize=7.5, labelpad=1)


def _caption(columns: Sequence[_Column], names: Sequence[str], *, left_out: int) -> str:
    scales = []
    for name in names:
        members = [column for column in columns if column.attribution == name]
        median = [f"{one.name} {number(_median_scale(one), None)}" for one in members]
        scales.append(f"{attribution_name(name).lower()}: {', '.join(median)}")
    more = f" {left_out} further models are not shown." if left_out else ""
    return (
        "The same images for every model. Each map is divided by the 99th percentile of its own absolute values, and "
        "all maps of one attribution then share one colour scale (values beyond it are clipped), so brightness "
        "compares places inside a map, not sizes between models. Median of what was divided by: "
        f"{'; '.join(scales)}.{more}"
    )


def _fitting(text: str, width: float) -> tuple[str, float]:
    """A title no wider than `width` points: smaller letters, then only its end, which tells folders apart."""
    letter = 0.64  # mean width of a letter, in units of the font size
    most = max(2, int(width / (5 * letter)))
    short = text if len(text) <= most else "…" + text[1 - most :]
    return short, min(8.5, width / (letter * max(1, len(short))))


def _clipped(text: str, limit: int = 14) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
