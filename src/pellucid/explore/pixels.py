"""Images and maps as the bytes that the page draws: the colours are those of the figures of a report."""

import base64
import io
from typing import Any

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image

from pellucid.report.figures.saliency import colours, divided

Floats = NDArray[np.floating[Any]]
SHADES = 256
THUMBNAIL = 96
"""Longest side of a small picture of a test image, in pixels."""


def shades(values: Floats, *, signed: bool) -> NDArray[np.uint8]:
    """Which of the SHADES of its colour map matplotlib gives to every pixel of a map [H, W], divided as in a report."""
    scale = colours(signed)
    place = (np.nan_to_num(divided(values)) - scale["vmin"]) / (scale["vmax"] - scale["vmin"])
    found: NDArray[np.uint8] = (place * SHADES).clip(0, SHADES - 1).astype(np.uint8)
    return found


def table(*, signed: bool) -> NDArray[np.uint8]:
    """Red, green and blue of every shade, [SHADES, 3]."""
    every: NDArray[np.uint8] = colormaps[colours(signed)["cmap"]](np.arange(SHADES), bytes=True)
    return every[:, :3]


def eight_bits(image: Floats) -> NDArray[np.uint8]:
    """[C, H, W] in [0, 1] as [H, W, C] in 0 … 255."""
    return (np.moveaxis(image, 0, -1) * 255).round().clip(0, 255).astype(np.uint8)


def amplified(perturbation: Floats, factor: float) -> Floats:
    """A perturbation to be looked at: grey where it is 0."""
    return (0.5 + factor * perturbation).clip(0, 1)


def text(values: NDArray[np.uint8]) -> str:
    """Bytes as base64, row by row."""
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()


def thumbnail(image: Floats) -> bytes:
    """A PNG of [C, H, W] in [0, 1], no larger than THUMBNAIL."""
    pixels = eight_bits(image)
    drawn = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    drawn.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = io.BytesIO()
    drawn.save(buffer, format="PNG")
    return buffer.getvalue()
