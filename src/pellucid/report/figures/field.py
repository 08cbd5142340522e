"""Pictures of the 2-D study: gradient fields with and without misalignment and outliers, and the claims at a glance.

Reads the study's folder only. What is tested is our reading of the abstract of Train2Explain, whose text is not public.
"""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from pellucid.report.figures.style import COLOURS, FAINT, INK, OTHERS, PAPER, look, new_figure
from pellucid.report.reading import read_arrays

CLASS_COLOURS = (COLOURS["A"], COLOURS["N"], COLOURS["G"])
REGIONS = ListedColormap(["#cfe2f0", "#f6dcc6", "#cfe9df"])
OUTLIER = INK
NOTE = "Misalignment is our reading of the abstract of Train2Explain, whose text is not public."

_ARROWS = (
    "Arrows: direction of the gradient of z₁ − z₀.",
    "Arrows: direction of the gradient of the predicted class's logit minus the mean logit.",
)

PANELS = {
    ("accuracy", "clean"): "test accuracy ↑\nclean",
    ("roughness", "clean"): "roughness ↓\nclean",
    ("gap", "flips"): "train − test gap ↓\nlabel flips",
    ("memorisation", "flips"): "memorised flips ↓\nlabel flips",
    ("cosine", "clean"): "cosine, ±.3 ↑\nclean",
    ("worst_cosine", "clean"): "worst of 32 ↑\nclean",
    ("dependence", "interior"): "dependence ↓\ninterior outliers",
    ("dependence", "far"): "dependence ↓\nfar outliers",
    ("bayes_cosine", "clean"): "cosine with Bayes ↑\nclean",
}
"""Metric and kind of corruption of every panel of the summary."""


def draw_study(directory: Path, config: Mapping[str, Any], claims: Sequence[Mapping[str, Any]]) -> dict[str, bytes]:
    """Every picture of a finished study as SVG and PNG, by file name."""
    files: dict[str, bytes] = {}
    with_outliers = _outlier_block(config)
    for name in config["sets"]:
        blocks = {"clean": f"{name}-clean", **({with_outliers: f"{name}-{with_outliers}"} if with_outliers else {})}
        found = {title: read_arrays(directory / "blocks" / f"{stem}.npz") for title, stem in blocks.items()}
        files |= gradient_field(name, found, (config["reference"], config["tested"]))
    return files | claim_summary(claims)


def gradient_field(name: str, blocks: Mapping[str, Mapping[str, Any]], methods: Sequence[str]) -> dict[str, bytes]:
    """Decision regions, gradient arrows and training points: a row a block, a column a method.

    Parameters
    ----------
    blocks
        Arrays of a block by its name: "clean" and one with outliers.
    """
    with look(f"field-{name}"):
        figure = new_figure(0.75 + 3.3 * len(blocks))
        panels = figure.subplots(len(blocks), len(methods), squeeze=False, sharex=True, sharey=True)
        for line, (block, arrays) in zip(panels, blocks.items(), strict=True):
            for axes, method in zip(line, methods, strict=True):
                _panel(axes, arrays, method)
                axes.set_title(f"{method.replace('_', ' ')}, {_in_words(block)}")
        classes = max(int(arrays["y"].max()) for arrays in blocks.values()) + 1
        _points_legend(figure, classes)
        figure.supxlabel(f"{name}, first seed, standardised axes. {_ARROWS[classes > 2]}\n{NOTE}", fontsize=7)
        return _saved(figure, f"field-{name}")


def claim_summary(claims: Sequence[Mapping[str, Any]]) -> dict[str, bytes]:
    """Paired differences, tested method minus each other one, with 95 % t intervals over seeds: a panel a number."""
    found = {key: rows for key in PANELS if (rows := _differences(claims, *key))}
    others = list(dict.fromkeys(claim["against"] for claim in claims))
    with look("claims"):
        columns = 3
        lines = max(1, -(-len(found) // columns))
        sets = list(dict.fromkeys(name for rows in found.values() for _, name, _ in rows))
        figure = new_figure(0.8 + lines * (0.75 + 0.085 * len(sets) * (len(others) + 1)))
        panels = list(figure.subplots(lines, columns, squeeze=False, sharey=True).flat)
        for axes, (key, rows) in zip(panels, found.items(), strict=False):
            _difference_panel(axes, rows, sets, others)
            axes.set_title(PANELS[key])
        for axes in panels[len(found) :]:
            axes.set_visible(False)
        handles = [_handle(place, other) for place, other in enumerate(others)]
        figure.legend(handles=handles, loc="outside upper center", ncols=min(len(handles), 6), handletextpad=0.2)
        tested = claims[0]["tested"].replace("_", " ") if claims else ""
        figure.supxlabel(f"{tested} minus the other method, paired by seed, 95 % intervals.\n{NOTE}", fontsize=7)
        return _saved(figure, "claims")


def _panel(axes: Axes, arrays: Mapping[str, Any], method: str) -> None:
    axes.grid(visible=False)
    axes.set_aspect("equal")
    regions: dict[str, Any] = {"cmap": REGIONS, "vmin": 0, "vmax": 2, "shading": "nearest", "rasterized": True}
    axes.pcolormesh(arrays["regions:x"], arrays["regions:y"], arrays[f"regions:{method}"], **regions)
    field = arrays[f"arrows:{method}"]
    length = np.linalg.norm(field, axis=2)
    directions = field / np.where(length > 0, length, 1)[..., None]
    spacing = arrays["arrows:x"][1] - arrays["arrows:x"][0]
    axes.quiver(
        arrays["arrows:x"],
        arrays["arrows:y"],
        *np.moveaxis(directions * 0.8 * spacing, 2, 0),
        angles="xy",
        scale_units="xy",
        scale=1,
        pivot="mid",
        width=0.003,
        color=OTHERS[0],
    )
    x, y, corrupted = arrays["x"], arrays["y"], arrays["corrupted"]
    colours = np.array(CLASS_COLOURS)[y]
    axes.scatter(x[~corrupted, 0], x[~corrupted, 1], s=5, c=colours[~corrupted], linewidths=0, alpha=0.75, zorder=3)
    cross: dict[str, Any] = {"s": 24, "marker": "X", "edgecolors": OUTLIER, "linewidths": 0.7, "zorder": 4}
    axes.scatter(x[corrupted, 0], x[corrupted, 1], c=colours[corrupted], **cross)
    axes.set_xlim(arrays["regions:x"][0], arrays["regions:x"][-1])
    axes.set_ylim(arrays["regions:y"][0], arrays["regions:y"][-1])


def _points_legend(figure: Figure, classes: int) -> None:
    handles = [
        Line2D([], [], color=CLASS_COLOURS[label], marker="o", linestyle="none", label=f"class {label}")
        for label in range(classes)
    ]
    cross: dict[str, Any] = {"marker": "X", "markersize": 5, "markerfacecolor": PAPER, "markeredgecolor": OUTLIER}
    handles.append(Line2D([], [], linestyle="none", label="outlier, in the colour of its label", **cross))
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), handletextpad=0.2)


def _differences(claims: Sequence[Mapping[str, Any]], metric: str, kind: str) -> list[tuple[str, str, dict[str, Any]]]:
    """(against, set, numbers) of every judged difference of a metric at a kind of corruption."""
    rows = []
    for claim in claims:
        for one in claim["criteria"]:
            if one["metric"] == metric and one["condition"].partition("-")[0] == kind:
                rows += [(claim["against"], name, numbers) for name, numbers in one["sets"].items()]
    return rows


def _difference_panel(
    axes: Axes, rows: Sequence[tuple[str, str, dict[str, Any]]], sets: Sequence[str], others: Sequence[str]
) -> None:
    axes.axvline(0, color=INK, linewidth=0.8)
    for against, name, numbers in rows:
        rank = others.index(against)
        place = sets.index(name) + 0.8 * ((rank + 0.5) / len(others) - 0.5)
        ends = np.nan_to_num(
            np.abs([[numbers["difference"] - numbers["low"]], [numbers["high"] - numbers["difference"]]])
        )
        style = _style(rank)
        axes.errorbar([numbers["difference"]], [place], xerr=ends, elinewidth=1.0, capsize=1.5, markersize=3, **style)
    axes.set_yticks(range(len(sets)), sets)
    axes.set_ylim(len(sets) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    for border in range(len(sets) - 1):
        axes.axhline(border + 0.5, color=FAINT, linewidth=0.5)
    axes.xaxis.set_major_locator(MaxNLocator(5))


def _style(rank: int) -> dict[str, Any]:
    marks = ["o", "s", "^", "D", "v", "P"]
    colours = [COLOURS["N"], COLOURS["A"], COLOURS["G"], COLOURS["M1"], COLOURS["M2"], COLOURS["I"]]
    return {"color": colours[rank % 6], "marker": marks[rank % 6], "linestyle": "none"}


def _handle(rank: int, other: str) -> Line2D:
    return Line2D([], [], label=f"− {other.replace('_', ' ')}", **_style(rank))


def _outlier_block(config: Mapping[str, Any]) -> str | None:
    """The corruption that is drawn: interior outliers, else the first, at the share nearest to 10 %."""
    if not config["corruptions"] or not config["rates"]:
        return None
    kind = "interior" if "interior" in config["corruptions"] else config["corruptions"][0]
    return f"{kind}-{min(config['rates'], key=lambda rate: abs(rate - 0.1)):g}"


def _in_words(block: str) -> str:
    kind, _, rate = block.partition("-")
    return {
        "clean": "without outliers",
        "interior": f"with {_percent(rate)} interior outliers",
        "flips": f"with {_percent(rate)} flipped labels",
        "far": f"with {_percent(rate)} far outliers",
    }[kind]


def _percent(rate: str) -> str:
    return f"{100 * float(rate):g} %" if rate else ""


def _saved(figure: Figure, name: str) -> dict[str, bytes]:
    files = {}
    for kind, options in (("svg", {"Date": None, "Creator": None}), ("png", {"Software": None})):
        content = io.BytesIO()
        figure.savefig(content, format=kind, metadata=options, dpi=150)
        files[f"{name}.{kind}"] = content.getvalue()
    return files
