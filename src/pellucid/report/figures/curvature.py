"""Curvature of the gradient field against the instability of the maps: what T3S §3.2 predicts of real networks."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter
from scipy import stats

from pellucid.report import measures
from pellucid.report.arms import Column, runs_of
from pellucid.report.contents import NOISE, attribution_names
from pellucid.report.figures.style import Picture, legend, look, new_figure, picture, series
from pellucid.report.reading import Floats
from pellucid.report.runs import Run
from pellucid.report.words import attribution_name, count, interval, number
from pellucid.statistics import Estimate, bootstrap

COLUMN = "curvature"


def curvature_against_instability(columns: Sequence[Column]) -> Picture | None:
    """1 - SSIM under noise against curvature: every image on the left, the median of every model on the right."""
    runs = runs_of(columns)
    names = [name for name in attribution_names(runs) if any(_pairs(run, name) is not None for run in runs)]
    if not names:
        return None
    with look("curvature"):
        figure = new_figure(0.4 + 2.7 * len(names))
        panels = figure.subplots(len(names), 2, squeeze=False)
        styles, spelled = series(columns), []
        for (images, models), name in zip(panels, names, strict=True):
            for column, style in zip(columns, styles, strict=True):
                found = [pairs for run in runs_of([column]) if (pairs := _pairs(run, name)) is not None and pairs.size]
                for pairs in found:
                    _model(models, pairs, style)
                for pairs in found[:1]:
                    _images(images, pairs, style)
                    spelled.append(f"{column.name}: {_correlation(pairs)}")
            for axes, shown in ((images, "images"), (models, "medians of models")):
                _frame(axes, f"{attribution_name(name)}: {shown}")
        legend(figure, styles)
        return picture(
            figure,
            name="curvature",
            title="Curvature and instability",
            caption=(
                "Left: one point an image (of an arm, for its first seed). Across: how fast the direction of the input "
                "gradient changes around the image, relative to the gradient itself, per unit of L2 distance in pixel "
                "values. Up: 1 − SSIM between "
                f"the maps of the image and of the image with noise of σ = {NOISE:g}; images that the noise classifies "
                "otherwise, or whose gradient is 0, are left out. Spearman's rank correlation over images, with 95 % "
                f"interval: {'; '.join(spelled)}. Right: medians over the same images, bars: 95 % bootstrap "
                "intervals. A correlation here says that the two go together, not that one causes the other."
            ),
            alt=f"Scatter chart of instability against curvature. Rank correlations: {'; '.join(spelled)}.",
        )


def rank_correlation(first: Floats, second: Floats) -> Estimate:
    """Spearman's ρ of paired numbers [n] with its 95 % interval (Fieller, Hartley & Pearson 1957).

    NaN where fewer than 4 pairs or constant numbers leave it undefined.
    """
    n = len(first)
    if n < 4 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return Estimate(np.nan, np.nan, np.nan, n)
    value = float(stats.spearmanr(first, second).statistic)
    half = float(stats.norm.ppf(0.975)) * (1.06 / (n - 3)) ** 0.5
    with np.errstate(divide="ignore"):  # ρ = ±1 is its own interval
        low, high = np.tanh(np.arctanh(value) + np.array([-half, half]))
    return Estimate(value, float(low), float(high), n)


def _pairs(run: Run, name: str) -> Floats | None:
    """[2, n]: curvature and instability of the images that have both; None where either was not measured."""
    curved = measures.column(name, COLUMN, "").sample(run)
    similar = measures.level(name, "ssim", "", NOISE).sample(run)
    if curved is None or similar is None:
        return None
    pairs = np.stack([curved[1], 1 - similar[1]])
    return pairs[:, np.isfinite(pairs).all(axis=0)]


def _images(axes: Axes, pairs: Floats, style: dict[str, Any]) -> None:
    points: dict[str, Any] = {"s": 5, "alpha": 0.4, "linewidth": 0, "rasterized": True}  # thousands of them
    axes.scatter(*pairs, marker=style["marker"], color=style["color"], **points)


def _model(axes: Axes, pairs: Floats, style: dict[str, Any]) -> None:
    curved, unstable = (bootstrap(values, statistic="median") for values in pairs)
    bars = [np.nan_to_num([[one.value - one.low], [one.high - one.value]]) for one in (curved, unstable)]
    shown = style | {"linestyle": "none", "markersize": 5}
    axes.errorbar([curved.value], [unstable.value], xerr=bars[0], yerr=bars[1], capsize=2.5, elinewidth=1.2, **shown)


def _frame(axes: Axes, title: str) -> None:
    if axes.dataLim.minposx > 0 and axes.dataLim.x0 > 0:  # models differ by factors
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))  # matplotlib's own is a formula
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set(title=title, xlabel="direction curvature (1 / pixel value)", ylabel=f"1 − SSIM at σ = {NOISE:g}")


def _correlation(pairs: Floats) -> str:
    found = rank_correlation(*pairs)
    return f"{number(found.value, 2)} {interval(found.low, found.high, 2)} ({count(found.n, 'image')})"
