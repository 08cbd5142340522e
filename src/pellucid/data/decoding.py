"""Image files → one uint8 tensor, in threads. The only place where images are decoded."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from pellucid.errors import BadInput, unknown_name

Channels = Literal["auto", "grey", "rgb"]

EXTENSIONS = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
GREY_MODES = {"1", "L", "LA"}
COLOUR_MODES = {"RGB", "RGBA", "P", "PA", "CMYK", "YCbCr"}
MODE = {"auto": None, "grey": "L", "rgb": "RGB"}
IN_WORDS = {"L": "grey (1 channel)", "RGB": "colour (3 channels)"}
CHUNK = 64  # files a task: enough that handing out tasks costs nothing beside decoding


def decode(paths: Sequence[Path], *, image_size: int | None, channels: Channels) -> Tensor:
    """Decode image files to uint8 [N, C, H, W], in the order of `paths`.

    EXIF orientation is applied. Palettes, CMYK and opaque alpha channels become grey or RGB.

    Parameters
    ----------
    image_size
        The shorter side is resized to it (bilinear, antialiased, aspect ratio kept) and the centre cropped to a
        square. None: images stay as they are and must all have the size of the first.
    channels
        "grey" and "rgb" convert every image; "auto" takes what the first image has and refuses a mixture.

    Raises
    ------
    BadInput
        With the path of the first image that cannot be read (damaged, truncated, not an image), that has transparent
        or 16-bit pixels, or whose size or channels differ; or if all images together would not fit into memory.
    """
    if channels not in MODE:
        raise unknown_name("setting of channels", channels, MODE)
    if image_size is not None and image_size < 1:
        raise BadInput(f"image_size must be at least 1 pixel; got {image_size}")
    first = read_image(paths[0])
    mode = MODE[channels] or first.mode
    size = first.size if image_size is None else (image_size, image_size)
    images = _allocate(len(paths), 1 if mode == "L" else 3, size)
    pixels = images.numpy()

    def fill(start: int) -> None:
        for position, path in enumerate(paths[start : start + CHUNK], start):
            image = read_image(path)
            if channels == "auto" and image.mode != mode:
                raise BadInput(
                    f"{path} is {IN_WORDS[image.mode]} but {paths[0]} is {IN_WORDS[mode]}: "
                    "set channels to grey or rgb to convert all images"
                )
            image = image.convert(mode)
            if image_size is not None:
                # One resampling of exactly the centred square, so nothing is rounded between resizing and cropping.
                image = ImageOps.fit(image, size, Image.Resampling.BILINEAR)
            if image.size != size:
                raise BadInput(
                    f"{path} has {_times(image.size)} pixels but {paths[0]} has {_times(size)}: "
                    "set image_size to bring all images to one size"
                )
            pixels[position] = np.asarray(image).reshape(size[1], size[0], -1).transpose(2, 0, 1)

    with ThreadPoolExecutor(_workers(first.size)) as pool:
        for _ in pool.map(fill, range(0, len(paths), CHUNK)):  # in order: the first bad file is the one reported
            pass
    return images


def read_image(path: Path) -> Image.Image:
    """One image file, upright, as 8-bit grey (mode "L") or colour (mode "RGB"). Raises BadInput with the path."""
    try:
        with Image.open(path) as opened:
            image = ImageOps.exif_transpose(opened)
    except Exception as error:  # a decoder can raise almost anything on a damaged file
        raise BadInput(f"cannot read the image {path}: it is damaged or no image ({error})") from error
    if image.mode not in GREY_MODES | COLOUR_MODES:
        raise BadInput(f"{path} has pixels of type {image.mode}: save it with 8 bits a channel, grey or RGB")
    if image.has_transparency_data and image.convert("RGBA").getchannel("A").getextrema() != (255, 255):
        raise BadInput(f"{path} has transparent pixels: put it on a background and save it without transparency")
    return image.convert("L" if image.mode in GREY_MODES else "RGB")


def available_memory() -> int | None:
    """Bytes that can be allocated without swapping, or None where the system does not say (only Linux does)."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")), None)


def _workers(size: tuple[int, int]) -> int:
    """Threads worth having: icons spend their time in Python, where more threads only wait for each other."""
    return 1 if size[0] * size[1] <= 64 * 64 else min(os.cpu_count() or 1, 8)


def _allocate(count: int, channels: int, size: tuple[int, int]) -> Tensor:
    needed, available = count * channels * size[0] * size[1], available_memory()
    if available is not None and needed > available:
        raise BadInput(
            f"{count} images of {_times(size)} pixels and {channels} channels need {needed / 1e9:.1f} GB of memory and "
            f"{available / 1e9:.1f} GB are free: set a smaller image_size or use fewer images"
        )
    return torch.empty((count, channels, size[1], size[0]), dtype=torch.uint8)


def _times(size: tuple[int, int]) -> str:
    return f"{size[0]} × {size[1]}"
