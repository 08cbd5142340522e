"""An edge detector: a map of the image that no model has any part in, and that still looks like an explanation."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import pad

from pellucid.attributions.reduction import reduces
from pellucid.attributions.targets import check_target
from pellucid.types import Attribution, Image, Labels


@reduces("absolute")
def edge_detector(
    model: Callable[[Image], Tensor],  # noqa: ARG001 (one signature)
    x: Image,
    target: Labels,
    *,
    create_graph: bool = False,
) -> Attribution:
    """Magnitude √(s_x² + s_y²) of the Sobel derivatives of every channel of the image.

    A sanity row: a method whose numbers it reaches may have explained the image rather than the model.

    Parameters
    ----------
    model, target
        As in :func:`~pellucid.attributions.gradient`; without effect.
    x
        Images [B, C, H, W].
    create_graph
        Keep the graph back to `x`; its slope is 0 where the image is flat.

    Returns
    -------
    Attribution
        [B, C, H, W] ≥ 0, in pixel values per pixel: a ramp that rises by s from one pixel to the next has magnitude s.
        The border pixels are repeated outwards.

    Raises
    ------
    BadInput
        If shapes or types are wrong.

    References
    ----------
    Adebayo et al. 2018, "Sanity checks for saliency maps", §5.
    """
    check_target(x, target)
    with torch.set_grad_enabled(create_graph):
        padded = pad(x, (1, 1, 1, 1), mode="replicate")
        across, down = _sobel(padded), _sobel(padded.mT).mT
        squares = across.square() + down.square()
        # The root of 1 where the image is flat: the root of 0 has an infinite slope.
        return torch.where(squares > 0, squares, 1.0).sqrt() * (squares > 0)


def _sobel(padded: Tensor) -> Tensor:
    """Central differences along the last axis, smoothed by ¼, ½, ¼ along the one before: [H + 2, W + 2] to [H, W]."""
    differences = (padded[..., 2:] - padded[..., :-2]) / 2
    return (differences[..., :-2, :] + 2 * differences[..., 1:-1, :] + differences[..., 2:, :]) / 4
