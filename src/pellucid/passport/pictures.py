"""Example maps as PNG files whose bytes depend on nothing but the numbers: no compression library, no clock."""

import base64
import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.report.contents import SANITY
from pellucid.report.runs import Run
from pellucid.report.words import attribution_name

Bytes = npt.NDArray[np.uint8]
SMALL, FEW = 64, 4
"""Images larger than this are shown few at a time."""


@dataclass(frozen=True)
class Example:
    """One image and its maps, each a data URI."""

    image: str
    title: str
    maps: tuple[str, ...]


@dataclass(frozen=True)
class Gallery:
    """Examples with the names of their maps, and the colour scale of each: (data URI, left end, right end)."""

    names: tuple[str, ...]
    examples: tuple[Example, ...]
    scales: tuple[tuple[str, str, str], ...]


def gallery(run: Run) -> Gallery | None:
    """The examples of `examples.npz`, None where there are none."""
    found = run.examples
    if found is None or not found.maps:
        return None
    names = sorted(found.maps, key=lambda name: (name in SANITY, name != "gradient", name))
    signed = {name: bool((found.maps[name] < 0).any()) for name in names}
    shown = range(len(found.ids) if found.images.shape[-1] <= SMALL else min(FEW, len(found.ids)))
    examples = tuple(
        Example(
            _uri(_png(_pixels(found.images[place]))),
            f"{run.class_name(int(found.labels[place]))} (image {int(found.ids[place])})",
            tuple(_uri(_map(found.maps[name][place], signed=signed[name])) for name in names),
        )
        for place in shown
    )
    return Gallery(tuple(attribution_name(name) for name in names), examples, _scales(set(signed.values())))


def _scales(kinds: set[bool]) -> tuple[tuple[str, str, str], ...]:
    texts = {False: ("0", "99th percentile and above"), True: ("− 99th percentile", "+ 99th percentile")}
    ramp = np.arange(256, dtype=np.uint8)[None]
    return tuple((_uri(_png(ramp, _palette(kind))), *texts[kind]) for kind in sorted(kinds))


def _map(values: npt.NDArray[Any], *, signed: bool) -> bytes:
    """The map divided by its own 99th percentile, in the report's colours."""
    from pellucid.report.figures.saliency import divided  # noqa: PLC0415 (matplotlib waits)

    scaled = np.nan_to_num(divided(values))
    level = (scaled + 1) / 2 if signed else scaled
    return _png(np.rint(255 * level.clip(0, 1)).astype(np.uint8), _palette(signed))


def _palette(signed: bool) -> Bytes:
    """256 colours [256, 3] of the report's saliency figures."""
    import matplotlib as mpl  # noqa: PLC0415

    from pellucid.report.figures.saliency import colours  # noqa: PLC0415

    table = np.asarray(mpl.colormaps[colours(signed)["cmap"]](np.linspace(0, 1, 256)))
    palette: Bytes = np.rint(255 * table[:, :3]).astype(np.uint8)
    return palette


def _pixels(image: npt.NDArray[Any]) -> Bytes:
    """[C, H, W] in [0, 1] as bytes [H, W] or [H, W, 3]."""
    pixels = np.rint(255 * np.nan_to_num(image).clip(0, 1)).astype(np.uint8)
    arranged: Bytes = np.moveaxis(pixels, 0, -1) if len(pixels) == 3 else pixels[0]
    return arranged


def _png(pixels: Bytes, palette: Bytes | None = None) -> bytes:
    """A PNG of bytes: gray [H, W], colour [H, W, 3], or indices [H, W] of a palette [256, 3]."""
    height, width = pixels.shape[:2]
    kind = 3 if palette is not None else 2 if pixels.ndim == 3 else 0
    rows = b"".join(b"\0" + np.ascontiguousarray(row).tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    colours = b"" if palette is None else _chunk(b"PLTE", palette.tobytes())
    return (
        b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + colours + _chunk(b"IDAT", _stored(rows)) + _chunk(b"IEND", b"")
    )


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _stored(content: bytes) -> bytes:
    """A zlib stream without compression (RFC 1950, 1951): compressors differ from machine to machine."""
    parts = [content[start : start + 65535] for start in range(0, len(content), 65535)]
    blocks = [
        struct.pack("<BHH", place == len(parts) - 1, len(part), len(part) ^ 0xFFFF) + part
        for place, part in enumerate(parts)
    ]
    return b"\x78\x01" + b"".join(blocks) + struct.pack(">I", zlib.adler32(content))


def _uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()
