"""Image–map pairs as PNG files that tell nothing but their pixels: same size in pixels and bytes, no metadata."""

import secrets
import struct
import zlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt

from pellucid.report.figures.saliency import colours, divided

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[Any]

SHOWN = 320
"""Smaller images are enlarged to about this side, by whole factors, so that every browser shows the same squares."""

_EMPTY_BLOCK = b"\x00\x00\x00\xff\xff"
_CHUNK = 12
"""Bytes of an empty chunk of a PNG: length, name and checksum."""


def opaque_names(count: int, taken: Collection[str] = ()) -> list[str]:
    """Fresh names of 16 hexadecimal digits, drawn from the operating system; nothing can be computed from them."""
    names: dict[str, None] = {}
    while len(names) < count:
        name = secrets.token_hex(8)
        if name not in taken:
            names[name] = None
    return list(names)


def signed(maps: Sequence[Floats]) -> bool:
    """Whether any of the maps has a negative entry: then all of a study are drawn on the diverging scale."""
    return any(bool((values < 0).any()) for values in maps)


def pair(image: Floats, saliency: Floats, *, diverging: bool) -> Pixels:
    """An image and its map beside each other, uint8 [H, 2W, 3].

    Parameters
    ----------
    image
        [C, H, W] in [0, 1], one channel or three.
    saliency
        [H, W]. It is divided by the 99th percentile of its absolute values; all maps then share one colour scale
        (values beyond it are clipped), so brightness compares places inside a map, not sizes between models.
    """
    scale = colours(diverging)
    position = (divided(saliency) - scale["vmin"]) / (scale["vmax"] - scale["vmin"])
    right = mpl.colormaps[scale["cmap"]](np.clip(np.nan_to_num(position), 0, 1), bytes=True)[..., :3]
    left = np.rint(255 * np.clip(np.moveaxis(np.asarray(image, dtype=np.float64), 0, -1), 0, 1)).astype(np.uint8)
    both = np.concatenate([np.broadcast_to(left, right.shape), right], axis=1)
    times = max(1, round(SHOWN / saliency.shape[0]))
    return both.repeat(times, axis=0).repeat(times, axis=1)


def as_png(stimuli: Mapping[str, Pixels]) -> dict[str, bytes]:
    """PNG files of the same number of bytes, since a sparse map compresses better and its size would tell the model.

    A file is filled up by empty blocks inside its compressed data and empty data chunks: valid, and without content.
    """
    streams = {name: _compressed(pixels) for name, pixels in stimuli.items()}
    sizes = {name: len(head) + len(tail) for name, (head, tail) in streams.items()}
    # Five bytes a block, twelve a chunk: from four chunks above the largest on, every size can be reached.
    target = max(sizes.values()) + 4 * _CHUNK
    files = {}
    for name, (head, tail) in streams.items():
        missing = target - sizes[name]
        chunks = missing * 3 % 5  # 12·chunks ≡ missing (mod 5)
        blocks = (missing - _CHUNK * chunks) // len(_EMPTY_BLOCK)
        files[name] = _png(stimuli[name].shape, head + _EMPTY_BLOCK * blocks + tail, chunks)
    return files


def _compressed(pixels: Pixels) -> tuple[bytes, bytes]:
    """The compressed lines, and what ends them; between the two an empty block may stand."""
    raw = b"".join(b"\x00" + line.tobytes() for line in pixels)  # 0: lines are stored as they are
    packer = zlib.compressobj(9)
    head = packer.compress(raw) + packer.flush(zlib.Z_FULL_FLUSH)
    return head, packer.flush()


def _png(shape: tuple[int, ...], data: bytes, empty_chunks: int) -> bytes:
    header = struct.pack(">IIBBBBB", shape[1], shape[0], 8, 2, 0, 0, 0)  # 8 bits, RGB, not interlaced
    chunks = [(b"IHDR", header), (b"IDAT", data), *[(b"IDAT", b"")] * empty_chunks, (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, content) for name, content in chunks)


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
