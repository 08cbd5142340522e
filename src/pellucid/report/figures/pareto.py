"""Natural accuracy against each explanation metric, with the front of what no arm beats in both."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from pellucid.report.arms import Arm, Column, estimate, seed_values
from pellucid.report.contents import trade_off_measures
from pellucid.report.figures.style import OTHERS, Picture, legend, look, new_figure, picture, series
from pellucid.report.measures import Measure
from pellucid.report.reading import Floats

DRAWS = 1000
GRID = 200
SHADE = OTHERS[0]


def pareto(columns: Sequence[Column]) -> Picture | None:
    """A panel a metric; None without several arms that share seeds."""
    arms = [one for one in columns if isinstance(one, Arm)]
    natural, *others = trade_off_measures(columns)
    found = {measure.key: (measure, _numbers(arms, natural, measure)) for measure in others}
    shown = [(measure, numbers) for measure, numbers in found.values() if numbers is not None]
    if len(arms) < 2 or not shown:
        return None
    with look("pareto"):
        across = min(3, len(shown))
        lines = -(-len(shown) // across)
        figure = new_figure(0.4 + 2.15 * lines)
        panels = list(figure.subplots(lines, across, squeeze=False).flat)
        styles = series(arms)
        for axes, (measure, numbers) in zip(panels, shown, strict=False):
            _front(axes, numbers, measure)
            for arm, style in zip(arms, styles, strict=True):
                _arm(axes, arm, (natural, measure), style)
            axes.set(title=f"{measure.label} {measure.direction}", xlabel="natural accuracy (%) ↑")
        for axes in panels[len(shown) :]:
            axes.set_visible(False)
        legend(figure, [style | {"linestyle": "none"} for style in styles])
        return picture(
            figure,
            name="pareto",
            title="Accuracy against explanation",
            caption=(
                "Small dots: single seeds; large: arms, with 95 % intervals over images and seeds in both directions. "
                "Line: the best metric value among the arms that are at least as accurate; an arm below it (above it, "
                "where lower is better) is beaten in both. Band: the same line for resampled seeds, from the 2.5th to "
                "the 97.5th percentile; with few seeds it is too narrow rather than too wide."
            ),
            alt=f"Scatter charts of natural accuracy against {', '.join(measure.label for measure, _ in shown)}.",
        )


def front(accuracy: Floats, metric: Floats, at: Floats, *, sign: float) -> Floats:
    """The best of `metric` [arms] among the arms whose accuracy is at least `at` [k]; NaN where there is none.

    `sign` is 1 where higher is better, -1 where lower is.
    """
    reached = accuracy[None, :] >= at[:, None] - 1e-12
    best = np.where(reached, sign * metric[None, :], -np.inf).max(axis=1)
    return np.where(reached.any(axis=1), sign * best, np.nan)


def _numbers(arms: Sequence[Arm], natural: Measure, measure: Measure) -> Floats | None:
    """[2, arms, seeds]: accuracy and metric of the seeds that all arms share; None without a seed or a number."""
    seeds = sorted(set.intersection(*({run.seed for run in arm.runs} for arm in arms))) if arms else []
    numbers = np.array([[_of_seeds(one, arm, seeds) for arm in arms] for one in (natural, measure)])
    return numbers if seeds and np.isfinite(numbers).all() else None


def _line(numbers: Floats, at: Floats, sign: float) -> Floats:
    """The front of the means over seeds of [2, arms, seeds]."""
    accuracy, metric = numbers.mean(axis=2)
    return front(accuracy, metric, at, sign=sign)


def _of_seeds(measure: Measure, arm: Arm, seeds: Sequence[int]) -> list[float]:
    found = dict(zip((run.seed for run in arm.runs), seed_values(measure, arm), strict=True))
    return [found[seed] for seed in seeds]


def _front(axes: Axes, numbers: Floats, measure: Measure) -> None:
    sign = -1.0 if measure.direction == "↓" else 1.0
    seeds = numbers.shape[2]
    means = numbers.mean(axis=2)
    at = np.linspace(means[0].min(), means[0].max(), GRID)
    draws = np.random.default_rng(0).integers(seeds, size=(DRAWS if seeds > 1 else 1, seeds))
    lines = np.array([_line(numbers[:, :, draw], at, sign) for draw in draws])
    known = ~np.isnan(lines).all(axis=0)
    low, high = np.nanquantile(lines[:, known], [0.025, 0.975], axis=0)
    axes.fill_between(at[known], low, high, color=SHADE, alpha=0.15, linewidth=0)
    axes.plot(at, _line(numbers, at, sign), color=SHADE, linewidth=1)


def _arm(axes: Axes, arm: Arm, wanted: tuple[Measure, Measure], style: dict[str, Any]) -> None:
    seeds = [seed_values(measure, arm) for measure in wanted]
    axes.plot(*seeds, ".", color=style["color"], markersize=4, alpha=0.6, markeredgewidth=0)
    found = [(measure, estimate(measure, arm)) for measure in wanted]
    ends = [measure.factor * np.array([one.value, one.low, one.high]) for measure, one in found if one is not None]
    if len(ends) == 2:
        (x, left, right), (y, low, high) = ends
        across, up = np.nan_to_num([[x - left], [right - x]]), np.nan_to_num([[y - low], [high - y]])
        shown = style | {"linestyle": "none", "markersize": 5}
        axes.errorbar([x], [y], xerr=across, yerr=up, elinewidth=0.9, capsize=2, **shown)
