"""Masks of objects on a dark background."""

import numpy as np
import torch
from scipy.ndimage import binary_fill_holes
from torch import Tensor

from pellucid.errors import BadInput

WITHIN_AN_IMAGE = np.array([[[0, 1, 0], [1, 1, 1], [0, 1, 0]]], dtype=bool)
"""The four neighbours of a pixel, and none in the images before and after."""


def object_mask(images: Tensor, *, threshold: int = 8) -> Tensor:
    """The object of each image: pixels brighter than the threshold, and the holes that they enclose.

    A stand-in for a map of human attention where none was recorded: where the object is, not where anybody looked.

    Parameters
    ----------
    images
        uint8 [N, 1, H, W]: one bright object each, on a background of (nearly) 0.
    threshold
        Brightest value of the background. The default keeps the faint noise around Fashion-MNIST's garments out (with
        0, a mask has five separate parts on average; with 8, one) and their dark parts in.

    Returns
    -------
    uint8 [N, 1, H, W], 255 on the object and 0 elsewhere; an image without bright pixels has a mask of zeros.

    Raises
    ------
    BadInput
        If the images are not grey and uint8.
    """
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 1:
        raise BadInput(
            f"an object mask needs grey images, uint8 [N, 1, H, W]; got {images.dtype} of shape {tuple(images.shape)}"
        )
    bright = (images[:, 0] > threshold).numpy()
    filled = binary_fill_holes(bright, WITHIN_AN_IMAGE)  # all images in one call
    return torch.from_numpy(filled.astype(np.uint8) * np.uint8(255))[:, None]
