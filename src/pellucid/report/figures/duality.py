"""The picture that ``pellucid explain --duality`` draws: a norm of the loss gradient and its dual perturbation."""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from pellucid.report.figures.saliency import colours, divided
from pellucid.report.figures.style import blank, look, new_figure
from pellucid.report.words import number

Array = npt.NDArray[np.float32]


def duality(
    image: Array, perturbed: Array, maps: Mapping[str, Array], numbers: Mapping[str, float], title: str
) -> bytes:
    """A PNG: image, gradient of its loss, contribution of every pixel to h*, perturbation δ*, perturbed image.

    Parameters
    ----------
    image, perturbed
        [C, H, W] in [0, 1].
    maps
        "gradient", "contribution" and "perturbation", [C, H, W]; the first two are summed over the channels, the last
        is averaged.
    numbers
        "conjugate", "attained", "before", "predicted", "actual": see :class:`pellucid.experiments.duality.Duality`.
    title
        Which image, and which penalty.
    """
    said = {name: number(value, None) for name, value in numbers.items()}
    with look("duality"):
        figure = new_figure(2.9, width=12.5)
        first, *middle, last = figure.subplots(1, 5)
        _pixels(first, image, f"image\nloss {said['before']}")
        _map(middle[0], divided(maps["gradient"].sum(0)), "gradient g of the loss", "g ÷ its own 99th percentile")
        share = f"share of h*(g) = {said['conjugate']}\n⟨g, δ*⟩ − h(δ*) = {said['attained']}"
        _map(middle[1], divided(maps["contribution"].sum(0)), share, "share ÷ its own 99th percentile")
        step, largest = maps["perturbation"].mean(0), number(float(np.abs(maps["perturbation"]).max()), None)
        scaled = step / (np.abs(step).max() or 1.0)
        _map(middle[2], scaled, f"perturbation δ*\nlargest change {largest}", "δ* ÷ the largest entry shown")
        after = f"x + δ*, clamped to [0, 1]\nloss {said['actual']}, first order {said['predicted']}"
        _pixels(last, perturbed, after)
        figure.suptitle(title, fontsize=9)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=160, metadata={"Software": None})
    return buffer.getvalue()


def _pixels(axes: Axes, image: Array, title: str) -> None:
    pixels = np.moveaxis(image, 0, -1)
    axes.imshow(pixels[..., 0] if pixels.shape[-1] == 1 else pixels, cmap="gray", vmin=0, vmax=1)
    axes.set_title(title)
    blank(axes)


def _map(axes: Axes, values: npt.NDArray[Any], title: str, label: str) -> None:
    drawn = axes.imshow(values, interpolation="none", **colours(bool((values < 0).any())))
    axes.set_title(title)
    blank(axes)
    bar = axes.figure.colorbar(drawn, ax=axes, location="bottom", shrink=0.9, aspect=30, pad=0.02)
    bar.set_label(label, fontsize=7)
