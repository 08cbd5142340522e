"""Figures of an analysis: stacked ratings, means, contrasts, and shares of the choices."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from pellucid.report.figures.style import COLOURS, INK, OTHERS, Picture, look, new_figure, picture
from pellucid.report.words import number
from pellucid.study.protocol import POINTS

# Purple to orange (ColorBrewer PuOr), told apart with all common forms of colour blindness and in grey at the ends.
SCALE = ("#5e3c99", "#b2abd2", "#e8e6e1", "#fdb863", "#e66101")
# Not exactly black and white: those turn with the page between light and dark, the bars do not.
ON_SCALE = ("#fefefe", "#101010", "#101010", "#101010", "#101010")
MARKERS = {"N": "o", "A": "s", "G": "^", "M1": "D", "M2": "v", "I": "P", "P": "*"}


def draw_all(result: Mapping[str, Any], scale: Sequence[str]) -> list[Picture]:
    """Every figure that an unsealed analysis has numbers for; `scale` names the five ratings."""
    rated = any(row["n"] for found in result["questions"].values() for row in found["descriptive"])
    pictures = [stacked_ratings(result, scale), means(result)] if rated else []
    pictures += [contrasts(result)] if rated and len(result["models"]) > 1 else []
    return pictures + ([shares(result)] if result["preference"]["choices"] else [])


def stacked_ratings(result: Mapping[str, Any], scale: Sequence[str]) -> Picture:
    """Stacked bars of how often each rating was given, centred on the middle of the scale."""
    questions, models = result["questions"], result["models"]
    with look("ratings"):
        figure = new_figure(0.75 + len(questions) * (0.35 + 0.27 * len(models)))
        panels = figure.subplots(len(questions), 1, squeeze=False, sharex=True)[:, 0]
        for axes, (name, found) in zip(panels, questions.items(), strict=True):
            _stack(axes, found["descriptive"])
            axes.set_title(name.capitalize(), loc="left")
        panels[-1].set_xlabel("Share of ratings (%), to the left and right of the middle of the scale")
        handles = [Patch(color=colour, label=word) for colour, word in zip(SCALE, scale, strict=True)]
        figure.legend(handles=handles, loc="outside upper center", ncols=POINTS, handlelength=1.2, columnspacing=1.2)
        return picture(
            figure,
            name="ratings",
            title="Ratings",
            caption="How often each answer was given, by question and model; the middle answer is centred on zero.",
            alt="Stacked bars: " + "; ".join(_spelled_ratings(name, found) for name, found in questions.items()),
        )


def means(result: Mapping[str, Any]) -> Picture:
    """Mean ratings with their intervals over participants."""
    questions, models = result["questions"], result["models"]
    with look("means"):
        figure = new_figure(0.65 + 0.27 * len(models))
        panels = figure.subplots(1, len(questions), squeeze=False, sharey=True, sharex=True)[0]
        for axes, (name, found) in zip(panels, questions.items(), strict=True):
            for place, row in enumerate(found["descriptive"]):
                _dot(axes, row["mean"], place, _colour(row["model"], models), MARKERS.get(row["model"], "X"))
            _label(axes, models, f"{name.capitalize()}: mean rating")
            axes.set_xlim(1, POINTS)
            axes.set_xticks(range(1, POINTS + 1))
        return picture(
            figure,
            name="means",
            title="Mean ratings",
            caption="Points: means over all ratings; bars: 95 % bootstrap intervals over participants.",
            alt="Dot charts of mean ratings: "
            + "; ".join(_spelled_means(name, found) for name, found in questions.items()),
        )


def contrasts(result: Mapping[str, Any]) -> Picture:
    """Differences between models within participants, with their intervals."""
    questions = result["questions"]
    rows = {name: found["repeated_measures"]["contrasts"] for name, found in questions.items()}
    names = [f"{row['first']} − {row['second']}" for row in next(iter(rows.values()))]
    with look("contrasts"):
        figure = new_figure(0.65 + 0.25 * len(names))
        panels = figure.subplots(1, len(rows), squeeze=False, sharey=True, sharex=True)[0]
        for axes, (name, found) in zip(panels, rows.items(), strict=True):
            axes.axvline(0, color=INK, linewidth=0.8)
            for place, row in enumerate(found):
                _dot(axes, row["mean_difference"], place, INK, "o", full=row["significant"])
            _label(axes, names, f"{name.capitalize()}: difference of means")
        return picture(
            figure,
            name="contrasts",
            title="Differences within participants",
            caption="Difference of a participant's mean ratings, averaged over participants, with 95 % bootstrap "
            "intervals over participants; filled where Holm's p lies below the level of the plan.",
            alt="Dot charts of differences: "
            + "; ".join(
                f"{name}: "
                + ", ".join(_spelled(f"{row['first']} minus {row['second']}", row["mean_difference"]) for row in found)
                for name, found in rows.items()
            ),
        )


def shares(result: Mapping[str, Any]) -> Picture:
    """Shares of the side-by-side choices, against chance."""
    models, rows = result["models"], result["preference"]["shares"]
    with look("shares"):
        figure = new_figure(0.75 + 0.27 * len(models))
        axes = figure.subplots()
        for place, row in enumerate(rows):
            colour = _colour(row["model"], models)
            axes.barh(place, 100 * row["share"]["value"], height=0.6, color=colour, alpha=0.5)
            _dot(axes, {key: 100 * value for key, value in row["share"].items()}, place, INK, "|")
        chance = 100 / len(models)
        axes.axvline(chance, color=INK, linestyle=(0, (3, 2)), linewidth=1)
        axes.annotate("chance", (chance, -0.5), xytext=(3, -1), textcoords="offset points", va="top", fontsize=7)
        _label(axes, models, "Chosen as the most comprehensible (% of choices)")
        axes.set_ylim(len(models) - 0.5, -0.75)
        axes.set_xlim(0, 100)
        return picture(
            figure,
            name="shares",
            title="Choices side by side",
            caption="Share of all choices, with 95 % bootstrap intervals over participants; dashed: all models alike.",
            alt="Bars: " + ", ".join(f"{row['model']} {100 * row['share']['value']:.0f} %" for row in rows),
        )


def _stack(axes: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    for place, row in enumerate(rows):
        part = 100 * np.array(row["distribution"]) / max(row["n"], 1)
        left = -part[: POINTS // 2].sum() - part[POINTS // 2] / 2
        for share, colour, text in zip(part, SCALE, ON_SCALE, strict=True):
            axes.barh(place, share, left=left, height=0.72, color=colour, edgecolor="#8a8a8a", linewidth=0.3)
            if share >= 4:
                axes.text(left + share / 2, place, f"{share:.0f}", ha="center", va="center", fontsize=7, color=text)
            left += share
    _label(axes, [row["model"] for row in rows], "")
    axes.set_xlim(-100, 100)
    axes.set_xticks([-100, -50, 0, 50, 100], ["100", "50", "0", "50", "100"])


def _dot(axes: Axes, found: Mapping[str, float], place: int, colour: str, marker: str, *, full: bool = True) -> None:
    if np.isnan(found["value"]):
        return
    ends = np.nan_to_num(np.abs([[found["value"] - found["low"]], [found["high"] - found["value"]]]))
    face = colour if full else "none"
    axes.errorbar(
        [found["value"]],
        [place],
        xerr=ends,
        color=colour,
        marker=marker,
        mfc=face,
        markersize=5,
        capsize=2.5,
        elinewidth=1.2,
    )


def _label(axes: Axes, names: Sequence[str], title: str) -> None:
    axes.set_title(title)
    axes.set_yticks(range(len(names)), list(names))
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)


def _colour(model: str, models: Sequence[str]) -> str:
    unknown = [name for name in models if name not in COLOURS]
    return COLOURS.get(model) or OTHERS[unknown.index(model) % len(OTHERS)]


def _spelled(name: str, found: Mapping[str, float]) -> str:
    return f"{name} {number(found['value'], 2)} ({number(found['low'], 2)} to {number(found['high'], 2)})"


def _spelled_means(name: str, found: Mapping[str, Any]) -> str:
    return f"{name}: " + ", ".join(_spelled(row["model"], row["mean"]) for row in found["descriptive"])


def _spelled_ratings(name: str, found: Mapping[str, Any]) -> str:
    rows = [f"{row['model']} {', '.join(map(str, row['distribution']))}" for row in found["descriptive"]]
    return f"{name} (answers 1 to 5): {'; '.join(rows)}"
