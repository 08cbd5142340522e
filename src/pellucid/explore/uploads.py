"""Images that somebody sends: looked at before they are decoded, decoded in memory, never written anywhere."""

import io
import warnings

import numpy as np
import torch
from PIL import Image as Pillow
from PIL import ImageOps

from pellucid.data.dataset import Dataset
from pellucid.data.decoding import COLOUR_MODES, GREY_MODES
from pellucid.errors import BadInput
from pellucid.types import Image

MEGABYTES = 10
MEGAPIXELS = 25
FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "GIF")
IN_WORDS = "PNG, JPEG, BMP, WebP or GIF"


def decoded(content: bytes, like: Dataset) -> Image:
    """The bytes of an image file as [1, C, H, W] in [0, 1], in the size and channels of a data set.

    As :func:`pellucid.experiments.explain.images_like` does it for files: upright by EXIF, the shorter side resized
    (bilinear, antialiased), the centre cropped. Of a moving picture the first frame counts.

    Raises
    ------
    BadInput
        If it is no image of the FORMATS, larger than MEGAPIXELS by its header (which is looked at before any pixel is
        decoded), damaged or truncated, has transparent pixels or others than 8-bit grey or colour.
    """
    image = _pixels(_opened(content)).convert("L" if like.channels == 1 else "RGB")
    fitted = ImageOps.fit(image, (like.image_size, like.image_size), Pillow.Resampling.BILINEAR)
    pixels = np.asarray(fitted).reshape(like.image_size, like.image_size, -1).transpose(2, 0, 1)
    return torch.from_numpy(pixels.copy())[None].float().div_(255)


def _opened(content: bytes) -> Pillow.Image:
    """The image with its header read and no pixel decoded."""
    if not content:
        raise BadInput("the file is empty")
    if b"<svg" in content[:4096].lower():
        raise BadInput(f"this is an SVG drawing, which has no pixels: export it as {IN_WORDS}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Pillow.DecompressionBombWarning)  # the limit below is a third of Pillow's
            image = Pillow.open(io.BytesIO(content), formats=FORMATS)
    except Pillow.DecompressionBombError as error:
        raise BadInput(
            f"the image has far more than the {MEGAPIXELS} million pixels that are taken: shrink it"
        ) from error
    except Exception as error:  # a decoder can raise almost anything on a damaged header
        raise BadInput(f"this is no {IN_WORDS} image, whatever its name says, or it is damaged") from error
    width, height = image.size
    if width * height > MEGAPIXELS * 1_000_000:
        raise BadInput(
            f"the image has {width} × {height} = {width * height / 1e6:.0f} million pixels; "
            f"at most {MEGAPIXELS} million are taken: shrink it"
        )
    return image


def _pixels(image: Pillow.Image) -> Pillow.Image:
    """The decoded image, upright, as 8-bit grey or colour."""
    try:
        image.load()
        upright = ImageOps.exif_transpose(image)
    except Exception as error:  # as above
        raise BadInput(f"the {image.format} image is damaged or truncated: not all of its pixels are there") from error
    if upright.mode not in GREY_MODES | COLOUR_MODES:
        raise BadInput(f"the image has pixels of type {upright.mode}: save it with 8 bits a channel, grey or RGB")
    if upright.has_transparency_data and upright.convert("RGBA").getchannel("A").getextrema() != (255, 255):
        raise BadInput("the image has transparent pixels: put it on a background and save it without transparency")
    return upright.convert("L" if upright.mode in GREY_MODES else "RGB")
