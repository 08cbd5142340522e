"""The plain input gradient: the explanation that Pellucid's training is about."""

from collections.abc import Callable

from torch import Tensor

from pellucid.attributions.reduction import reduces
from pellucid.attributions.targets import check_target
from pellucid.gradients import input_gradient, logit_of
from pellucid.types import Attribution, Image, Labels


@reduces("absolute")
def gradient(model: Callable[[Image], Tensor], x: Image, target: Labels, *, create_graph: bool = False) -> Attribution:
    """Vanilla gradient ∂z_target/∂x.

    Parameters
    ----------
    model
        Images [B, C, H, W] to logits [B, K]; its mode is the caller's business (use eval mode).
    x, target
        Images in [0, 1] and the class to explain in each, int64 [B]. Neither they nor the model change.
    create_graph
        Keep the graph, so that the attribution can be trained on.

    Returns
    -------
    Attribution
        [B, C, H, W], signed, in logits per unit of pixel value. Its saliency map is Σ_c |·|.

    Raises
    ------
    BadInput
        If shapes or types are wrong.

    References
    ----------
    Simonyan et al. 2014, "Deep inside convolutional networks"; T3S §3 (VG), definitions §4.0.
    """
    check_target(x, target)
    return input_gradient(model, x, logit_of(target), create_graph=create_graph)[1]
