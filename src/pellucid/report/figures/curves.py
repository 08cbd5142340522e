"""Curves: similarity against noise, accuracy against removed pixels, training."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from pellucid.report import measures
from pellucid.report.arms import Column, estimate, runs_of
from pellucid.report.contents import attribution_names
from pellucid.report.figures.style import INK, Picture, legend, look, new_figure, picture, series
from pellucid.report.measures import Measure
from pellucid.report.reading import Floats
from pellucid.report.runs import Run
from pellucid.report.words import attribution_name


def similarity_curves(columns: Sequence[Column]) -> Picture | None:
    """SSIM between the maps of clean and noisy images, per noise level; clean above, legacy below."""
    runs = runs_of(columns)
    kinds = [(key, label) for key, label in (("ssim", "clean"), ("ssim_legacy", "legacy")) if _has(runs, key)]
    names = [name for name in attribution_names(runs) if _has(runs, "ssim", name) or _has(runs, "ssim_legacy", name)]
    if not kinds or not names:
        return None
    with look("ssim-against-noise"):
        figure = new_figure(0.5 + 2.1 * len(kinds))
        panels = figure.subplots(len(kinds), len(names), sharex=True, sharey=True, squeeze=False)
        styles = series(columns)
        for line, (key, label) in zip(panels, kinds, strict=True):
            for axes, name in zip(line, names, strict=True):
                for column, style in zip(columns, styles, strict=True):
                    noise = measures.noise_levels(runs_of([column])[0])
                    _band(axes, noise, [measures.level(name, key, label, sigma) for sigma in noise], column, style)
                axes.set_title(f"{attribution_name(name)}, {label}")
            line[0].set_ylabel("SSIM to the map\nof the clean image")
        for axes in panels[-1]:
            axes.set_xlabel("noise σ")
            axes.xaxis.get_major_locator().set_params(nbins=5)
        legend(figure, styles)
        over = "" if runs == list(columns) else ", and over seeds"
        return picture(
            figure,
            name="ssim-against-noise",
            title="Stability: SSIM against noise",
            caption=(
                "SSIM between the map of an image and the map of the same image with Gaussian noise, higher = more "
                f"stable; bands: 95 % bootstrap interval over images that keep their prediction{over}. Clean: σ in "
                "pixel units, each map divided by its own maximum. Legacy, as published: σ in units of the normalised "
                "input, which is clipped to [0, 1]; raw maps, so a model with smaller gradients scores higher whatever "
                "its maps look like."
            ),
            alt=f"Line chart of SSIM against noise level for {', '.join(one.name for one in columns)}.",
        )


def road_curves(columns: Sequence[Column]) -> Picture | None:
    """Accuracy while the most relevant pixels are removed, with the random-map control."""
    runs = runs_of(columns)
    names = [name for name in attribution_names(runs) if _has(runs, "road", name)]
    if not names:
        return None
    with look("road"):
        figure = new_figure(2.9)
        panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
        styles = series(columns)
        for axes, name in zip(panels, names, strict=True):
            for column, style in zip(columns, styles, strict=True):
                _road(axes, column, name, style)
            axes.set(title=attribution_name(name), xlabel="pixels removed, most relevant first (%)", ylim=(-2, 102))
        panels[0].set_ylabel("still classified correctly (%)")
        control = Line2D([], [], color=INK, linestyle=":", linewidth=1, label="random map (control)")
        legend(figure, styles, [control] if _has(runs, "road_random") else [])
        return picture(
            figure,
            name="road",
            title="Faithfulness: ROAD curves",
            caption=(
                "Share of images still classified correctly after the most relevant pixels were removed and imputed "
                "(ROAD, noisy linear imputation). The lower the curve, the more faithful the map. Dotted, in the "
                "model's colour: the same for a random map; only the gap between the two is the map's merit. Bands: "
                f"{'95 % Wilson intervals' if runs == list(columns) else '95 % intervals over images and seeds'}."
            ),
            alt=f"Line chart of accuracy against removed pixels for {', '.join(one.name for one in columns)}.",
        )


def training_curves(columns: Sequence[Column]) -> Picture | None:
    """Loss, and clean and robust validation accuracy, by epoch; a ring marks the epoch that was kept."""
    runs = runs_of(columns)
    wanted = [
        ("loss", "training loss", 1),
        ("clean_accuracy", "validation accuracy (%)", 100),
        ("robust_accuracy", "robust validation accuracy (%)", 100),
    ]
    shown = [entry for entry in wanted if any(_history(run, entry[0])[1] for run in runs)]
    if not shown:
        return None
    with look("training"):
        figure = new_figure(2.4)
        panels = figure.subplots(1, len(shown), squeeze=False)[0]
        styles = series(columns)
        for axes, (key, label, factor) in zip(panels, shown, strict=True):
            for column, style in zip(columns, styles, strict=True):
                thin = {} if isinstance(column, Run) else {"linewidth": 0.6, "marker": "", "alpha": 0.8}
                for run in runs_of([column]):
                    _epochs(axes, run, key, factor=factor, style=style | thin)
            axes.set(xlabel="epoch", title=label)
            axes.xaxis.get_major_locator().set_params(integer=True)
            if factor == 100:
                axes.set_ylim(-2, 102)
        legend(figure, styles)
        return picture(
            figure,
            name="training",
            title="Training",
            caption=(
                "Training loss and validation accuracies by epoch. The loss of an adversarial run is that on attacked "
                "images, so losses of different objectives are not comparable. A ring marks the epoch whose weights "
                "were kept."
            ),
            alt=f"Line charts of the training of {', '.join(one.name for one in columns)}.",
        )


def _values(run: Run, name: str, key: str) -> Floats | None:
    measured = run.attributions.get(name)
    return None if measured is None else measured.values.get(key)


def _has(runs: Sequence[Run], key: str, name: str | None = None) -> bool:
    names = attribution_names(runs) if name is None else [name]
    return any(_values(run, one, key) is not None for run in runs for one in names)


def _band(axes: Axes, x: Sequence[float], levels: Sequence[Measure], column: Column, style: dict[str, Any]) -> None:
    """A column's numbers and intervals in one measure a level; nothing where it has none."""
    found = [(level.factor, estimate(level, column)) for level in levels]
    ends = [(factor * one.value, factor * one.low, factor * one.high) for factor, one in found if one is not None]
    if len(ends) == len(x) > 0:
        values, lows, highs = zip(*ends, strict=True)
        axes.plot(x, values, **style)
        axes.fill_between(x, lows, highs, color=style["color"], alpha=0.18, linewidth=0)


def _road(axes: Axes, column: Column, name: str, style: dict[str, Any]) -> None:
    runs = runs_of([column])
    removed = measures.removal_levels(runs[0])
    levels = [measures.road_level(name, place) for place in range(len(removed))]
    _band(axes, removed, levels, column, style | {"markersize": 2.5})
    random = [found[1] for run in runs if _has([run], "road", name) and (found := measures.road_random(run, name))]
    if random:
        means = np.mean([values.mean(axis=0) for values in random], axis=0)
        axes.plot(removed, 100 * means, color=style["color"], linestyle=":", linewidth=1)


def _history(run: Run, key: str) -> tuple[list[float], list[float]]:
    rows = [(row["epoch"], row[key]) for row in run.history if row.get(key) is not None and "epoch" in row]
    return [float(epoch) for epoch, _ in rows], [float(value) for _, value in rows]


def _epochs(axes: Axes, run: Run, key: str, *, factor: float, style: dict[str, Any]) -> None:
    epochs, values = _history(run, key)
    axes.plot(epochs, [factor * value for value in values], **style | {"markersize": 2.5})
    kept = run.manifest["weights"].get("epoch")
    for epoch, value in zip(epochs, values, strict=True):
        if epoch == kept:
            ring: dict[str, Any] = {"markersize": 7, "fillstyle": "none", "marker": "o", "markeredgewidth": 1.1}
            axes.plot([epoch], [factor * value], color=style["color"], **ring)
