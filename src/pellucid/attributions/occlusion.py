"""Occlusion: how much the logit falls when a square of the image is covered."""

from torch import nn

from pellucid.attributions.captum import captum_attribution
from pellucid.attributions.reduction import reduces
from pellucid.naming import Count
from pellucid.types import Attribution, Image, Labels


@reduces("signed")
def occlusion(model: nn.Module, x: Image, target: Labels, *, window: Count = 4, stride: Count = 2) -> Attribution:
    """Mean fall of z_target over the black squares that cover a pixel. Needs the captum extra.

    Parameters
    ----------
    model, x, target
        As in :func:`~pellucid.attributions.gradient`. Cost: about (H/stride)·(W/stride) forward passes an image.
    window, stride
        Side of the square and the distance between its places, in pixels.

    Returns
    -------
    Attribution
        [B, C, H, W], signed, in logits, the same in all channels. It has no graph: it cannot be trained on.

    Raises
    ------
    BadInput
        If Captum is missing, or refuses the window for images of this size.

    References
    ----------
    Zeiler and Fergus 2014, "Visualizing and understanding convolutional networks".
    """
    shape, strides = (x.shape[1], window, window), (x.shape[1], stride, stride)
    return captum_attribution(model, x, target, method="Occlusion", sliding_window_shapes=shape, strides=strides)
