"""What is on the page, as a file: PNG, SVG or PDF in the look of a report's figures, with all settings below."""

import io
import textwrap
from collections.abc import Sequence
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from pellucid.explore.pixels import Floats, eight_bits
from pellucid.explore.shown import NAMES, Shown
from pellucid.explore.views import Map, View
from pellucid.report.figures.saliency import colours, divided
from pellucid.report.figures.style import blank, look, new_figure
from pellucid.report.words import attribution_name, number

FileKind = Literal["png", "svg", "pdf"]
METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
"""Nothing that differs between two downloads of the same."""
CELL, GAP, BELOW = 1.25, 0.16, 0.44
"""In inches: side of a picture, room between two, room for what is said below one."""
LEFT, TOP, BAR, LINE = 0.3, 0.3, 0.45, 0.125
"""In inches: margins, room for the colour bars, height of a line of the caption."""


def figure(shown: Shown, kind: FileKind) -> bytes:
    """Rows: models. Columns: the image, its perturbation where it is shown, a map for each attribution."""
    with look("explore"):
        columns = 1 + (shown.factor is not None) + len(shown.names)
        width = max(4.6, LEFT + columns * (CELL + GAP))
        caption = textwrap.wrap(shown.caption, int(width * 20))
        height = TOP + len(shown.views) * (CELL + BELOW) + BAR + LINE * (len(caption) + 1)
        drawn = new_figure(height, width=width, arranged=False)
        rows = [[_cell(drawn, row, column) for column in range(columns)] for row in range(len(shown.views))]
        for cells, view in zip(rows, shown.views, strict=True):
            _row(cells, view, shown)
        _titles(rows[0], shown)
        _colour_bars(drawn, rows[-1][columns - len(shown.names) :], shown)
        drawn.text(0.1 / width, 0.08 / height, "\n".join(caption), fontsize=6.2, va="bottom", linespacing=1.35)
        buffer = io.BytesIO()
        drawn.savefig(buffer, format=kind, dpi=200, metadata=METADATA[kind])
    return buffer.getvalue()


def _cell(drawn: Figure, row: int, column: int) -> Axes:
    """The place of a picture; row 0 is on top."""
    width, height = drawn.get_size_inches()
    x, y = LEFT + column * (CELL + GAP), height - TOP - CELL - row * (CELL + BELOW)
    return drawn.add_axes((x / width, y / height, CELL / width, CELL / height))


def _row(cells: Sequence[Axes], view: View, shown: Shown) -> None:
    first, *others = cells
    _picture(first, view.image)
    first.set_ylabel("\n".join(textwrap.wrap(view.model, 20)), fontsize=7)
    changed = "" if view.predicted == view.explained else f"\n(untouched: {shown.classes[view.explained]})"
    sure = f"{view.probabilities[view.predicted]:.0%}"
    first.set_xlabel(f"{shown.classes[view.predicted]} {sure}{changed}", fontsize=7, labelpad=2)
    magnified = shown.magnified(view)
    if magnified is not None:
        _picture(others.pop(0), magnified)
    for axes, one in zip(others, view.maps, strict=True):
        _map(axes, one, signed=shown.signed(one.attribution))


def _titles(cells: Sequence[Axes], shown: Shown) -> None:
    names = ["image"] if shown.factor is None else ["image", f"perturbation × {number(shown.factor, None)}"]
    for axes, name in zip(cells, [*names, *map(attribution_name, shown.names)], strict=True):
        axes.set_title(name, pad=3, fontsize=7.5)


def _picture(axes: Axes, image: Floats) -> None:
    pixels = eight_bits(image)
    grey = pixels.shape[-1] == 1
    axes.imshow(pixels[..., 0] if grey else pixels, cmap="gray", vmin=0, vmax=255, interpolation="none")
    blank(axes)


def _map(axes: Axes, one: Map, *, signed: bool) -> None:
    axes.imshow(divided(one.values), interpolation="none", **colours(signed))
    blank(axes)
    numbers = [f"{NAMES[name]} {number(value, None if name == 'ros' else 3)}" for name, value in one.numbers.items()]
    lines = [", ".join(numbers[:-2]), ", ".join(numbers[-2:])]  # two fit beside each other
    axes.set_xlabel("\n".join(lines).strip(), fontsize=6.5, labelpad=2)


def _colour_bars(drawn: Figure, lowest: Sequence[Axes], shown: Shown) -> None:
    """One below every column of maps."""
    height = drawn.get_size_inches()[1]
    for axes, name in zip(lowest, shown.names, strict=True):
        scale = colours(shown.signed(name))
        mappable = ScalarMappable(Normalize(scale["vmin"], scale["vmax"]), scale["cmap"])
        place = axes.get_position()
        under = drawn.add_axes((place.x0, place.y0 - (BELOW + 0.1) / height, place.width, 0.07 / height))
        bar = drawn.colorbar(mappable, cax=under, orientation="horizontal", ticks=[scale["vmin"], 1])
        bar.outline.set_visible(False)
        bar.ax.tick_params(length=2, labelsize=6, pad=1)
        bar.set_label("map ÷ its own 99th percentile", fontsize=6, labelpad=-1)
