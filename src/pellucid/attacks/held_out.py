"""Held-out perturbations: harmless changes of an image that no training term of Pellucid makes.

A map that is stable only under the noise it was trained with is not stable. Every perturbation is
``f(x, *, ids, seed, …) -> x'``, images [B, C, H, W] in [0, 1]: what is random in it depends on `seed` and the image's
own id, and what is not random ignores both.
"""

import io
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image as Picture
from torch import Tensor
from torch.nn.functional import pad

from pellucid.errors import BadInput
from pellucid.filters import gaussian
from pellucid.naming import Count, NonNegative, Positive
from pellucid.randomness import uniform_per_image
from pellucid.types import Image

__all__ = ["brightness", "contrast", "gaussian_blur", "jpeg", "pixel_shift", "uniform_noise"]


def uniform_noise(x: Image, *, ids: Sequence[int], seed: int = 0, radius: NonNegative = 0.1) -> Image:
    """Add U[-radius, radius], in pixel units, to every entry; clamp to [0, 1]."""
    noise = _uniform(x, x.shape[1:], ids, seed, "uniform noise").to(x)
    return (x + radius * (2 * noise - 1)).clamp(0, 1)


def brightness(x: Image, *, ids: Sequence[int], seed: int = 0, shift: NonNegative = 0.1) -> Image:
    """Add +shift or -shift, in pixel units, to the whole image, each with probability ½; clamp to [0, 1]."""
    return (x + shift * _signs(x, ids, seed, "brightness")).clamp(0, 1)


def contrast(x: Image, *, ids: Sequence[int], seed: int = 0, change: NonNegative = 0.3) -> Image:
    """Multiply the deviations from the image's mean by 1 + change or 1 - change, each with probability ½; clamp."""
    mean = x.mean((1, 2, 3), keepdim=True)
    return (mean + (1 + change * _signs(x, ids, seed, "contrast")) * (x - mean)).clamp(0, 1)


def gaussian_blur(
    x: Image,
    *,
    ids: Sequence[int] = (),  # noqa: ARG001 (one signature; nothing random)
    seed: int = 0,  # noqa: ARG001
    size: Count = 5,
    sigma: Positive = 1.0,
) -> Image:
    """Blur with a Gaussian window of `size` pixels (odd) and standard deviation `sigma`, border reflected."""
    return gaussian(x, size=size, sigma=sigma).clamp(0, 1)


def pixel_shift(x: Image, *, ids: Sequence[int], seed: int = 0) -> Image:
    """Move the image by one pixel up, down, left or right, each with probability ¼; the edge is repeated.

    The map of the shifted image is compared in place: a shift of the map by a pixel counts as a change.
    """
    direction = (4 * _uniform(x, (1,), ids, seed, "pixel shift")).long().squeeze(1).to(x.device)
    height, width = x.shape[2:]
    padded = pad(x, (1, 1, 1, 1), mode="replicate")
    corners = ((2, 1), (0, 1), (1, 2), (1, 0))  # of the window that is cut out: up, down, left, right
    moved = torch.stack([padded[:, :, top : top + height, left : left + width] for top, left in corners])
    return moved[direction, torch.arange(len(x), device=x.device)]


def jpeg(
    x: Image,
    *,
    ids: Sequence[int] = (),  # noqa: ARG001 (one signature; nothing random)
    seed: int = 0,  # noqa: ARG001
    quality: Count = 50,
) -> Image:
    """Round to 8 bits, compress as JPEG (libjpeg, chroma at half resolution) and decompress, on the CPU.

    Raises
    ------
    BadInput
        If images have neither 1 nor 3 channels, or `quality` exceeds 95, beyond which JPEG gains nothing.
    """
    if x.shape[1] not in {1, 3}:
        raise BadInput(f"JPEG compresses images of 1 or 3 channels; these have {x.shape[1]}")
    if not 1 <= quality <= 95:
        raise BadInput(f"the quality of JPEG lies in 1 … 95; got {quality}")
    pixels = (x.detach().clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    if len(pixels) == 0:
        return x
    decoded = torch.from_numpy(np.stack([_recompressed(image, quality) for image in pixels]))
    return (decoded.permute(0, 3, 1, 2).double() / 255).to(x)


def _recompressed(pixels: np.ndarray, quality: int) -> np.ndarray:
    """uint8 [H, W, C] through a JPEG file in memory and back."""
    file = io.BytesIO()
    Picture.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels).save(file, "JPEG", quality=quality)
    with Picture.open(file) as picture:
        return np.asarray(picture).reshape(pixels.shape)


def _uniform(x: Image, shape: Sequence[int], ids: Sequence[int], seed: int, name: str) -> Tensor:
    if len(ids) != len(x):
        raise BadInput(f"every image needs an id, which decides its random numbers; got {len(ids)} for {len(x)} images")
    return uniform_per_image(ids, shape, seed=seed, stream=f"held out, {name}")


def _signs(x: Image, ids: Sequence[int], seed: int, name: str) -> Tensor:
    """+1 or -1 for each image, [B, 1, 1, 1]."""
    return torch.where(_uniform(x, (1, 1, 1), ids, seed, name) < 0.5, -1.0, 1.0).to(x)
