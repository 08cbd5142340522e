"""Attention maps: where people look in an image, 0 (nowhere) to 1. What they must be, and how their files are read."""

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from pellucid.data.decoding import GREY_MODES, decode
from pellucid.errors import BadInput

ORIENTATION, SIDEWAYS = 0x0112, (5, 6, 7, 8)
"""The EXIF tag of a photograph's orientation, and its values for a camera held sideways."""


def check_attention(attention: Tensor, images: Tensor) -> None:
    """Refuse anything but one floating-point map [B, 1, H, W] in [0, 1] for each of the images [B, C, H, W].

    Raises
    ------
    BadInput
        With the shape or range that was seen.
    """
    expected = (len(images), 1, *images.shape[2:])
    if tuple(attention.shape) != expected or not attention.is_floating_point():
        seen = f"{attention.dtype} of shape {tuple(attention.shape)}"
        raise BadInput(f"attention maps must be floating point of shape {expected}, one for each image; got {seen}")
    if attention.numel() == 0:
        return
    low, high = (bound.item() for bound in torch.aminmax(attention.detach()))
    if not (low >= 0 and high <= 1):  # also catches NaN, which compares false
        raise BadInput(f"attention maps must lie in [0, 1]; saw values from {low:.4g} to {high:.4g}")


def decode_maps(images: Sequence[Path], maps: Sequence[Path], *, image_size: int | None) -> Tensor:
    """Decode the attention maps of image files, resized and cropped as :func:`pellucid.data.decoding.decode` does.

    Parameters
    ----------
    images, maps
        One map for each image: grey, 8 bits (0 … 255 for 0 … 1), of the image's own size.
    image_size
        As for the images.

    Returns
    -------
    uint8 [N, 1, H, W].

    Raises
    ------
    BadInput
        With the path of the first map that cannot be read, is in colour, has other than 8 bits, or another size than
        its image.
    """
    for image, path in zip(images, maps, strict=True):
        mode, size = header(path)
        if mode not in GREY_MODES:
            raise BadInput(f"the attention map {path} has pixels of type {mode}: save it grey with 8 bits (0 … 255)")
        _, expected = header(image)
        if size != expected:
            seen, wanted = (f"{width} × {height}" for width, height in (size, expected))
            raise BadInput(f"the attention map {path} has {seen} pixels but its image {image} has {wanted}")
    return decode(maps, image_size=image_size, channels="grey")


def header(path: Path) -> tuple[str, tuple[int, int]]:
    """Type of the pixels and upright (width, height) of an image file, without decoding its pixels."""
    try:
        with Image.open(path) as opened:
            width, height = opened.size
            sideways = opened.getexif().get(ORIENTATION) in SIDEWAYS
            return opened.mode, (height, width) if sideways else (width, height)
    except Exception as error:  # a decoder can raise almost anything on a damaged file
        raise BadInput(f"cannot read the image {path}: it is damaged or no image ({error})") from error
