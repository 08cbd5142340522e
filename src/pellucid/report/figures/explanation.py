"""The picture that ``pellucid explain`` draws: one image, what the model sees in it, and its saliency maps."""

import io
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from pellucid.report.figures.saliency import colours, divided
from pellucid.report.figures.style import blank, look, new_figure
from pellucid.report.words import attribution_name

Array = npt.NDArray[np.float32]


def explanation(image: Array, maps: Mapping[str, Array], title: str) -> bytes:
    """A PNG: the image beside its maps, each divided by the 99th percentile of its own absolute values.

    Parameters
    ----------
    image
        [C, H, W] in [0, 1].
    maps
        One map [H, W] per attribution; a map with negative entries gets a diverging scale around 0.
    title
        What the model predicts.
    """
    with look("explanation"):
        figure = new_figure(2.3, width=2.1 * (1 + len(maps)))
        first, *others = figure.subplots(1, 1 + len(maps), squeeze=False)[0]
        pixels = np.moveaxis(image, 0, -1)
        first.imshow(pixels[..., 0] if pixels.shape[-1] == 1 else pixels, cmap="gray", vmin=0, vmax=1)
        first.set_title("image")
        blank(first)
        for axes, (name, values) in zip(others, maps.items(), strict=True):
            signed = bool((values < 0).any())
            drawn = axes.imshow(divided(values), interpolation="none", **colours(signed))
            axes.set_title(attribution_name(name))
            blank(axes)
            bar = figure.colorbar(drawn, ax=axes, location="bottom", shrink=0.9, aspect=30, pad=0.02)
            bar.set_label("map ÷ its own 99th percentile", fontsize=7)
        figure.suptitle(title, fontsize=9)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=160, metadata={"Software": None})
    return buffer.getvalue()
