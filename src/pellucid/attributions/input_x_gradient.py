"""Input × gradient: the first-order effect of replacing each pixel by black."""

from collections.abc import Callable

import torch
from torch import Tensor

from pellucid.attributions.gradient import gradient
from pellucid.attributions.reduction import reduces
from pellucid.types import Attribution, Image, Labels


@reduces("signed")
def input_x_gradient(
    model: Callable[[Image], Tensor], x: Image, target: Labels, *, create_graph: bool = False
) -> Attribution:
    """Input × gradient x ⊙ ∂z_target/∂x.

    Arguments and errors are those of :func:`~pellucid.attributions.gradient`.

    Returns
    -------
    Attribution
        [B, C, H, W], signed, in logits. Its saliency map is the signed Σ_c. It equals integrated gradients from a black
        baseline where the model is linear along the path.

    References
    ----------
    Shrikumar et al. 2016, "Not just a black box".
    """
    with torch.set_grad_enabled(create_graph):
        return x * gradient(model, x, target, create_graph=create_graph)
