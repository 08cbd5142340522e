"""A map that knows nothing: what any number about an attribution must be compared with."""

from collections.abc import Callable

from torch import Tensor

from pellucid.attributions.reduction import reduces
from pellucid.attributions.targets import check_target
from pellucid.errors import BadInput
from pellucid.types import Attribution, Image, Labels


@reduces("absolute")
def random_map(
    model: Callable[[Image], Tensor],  # noqa: ARG001 (one signature)
    x: Image,
    target: Labels,
    *,
    noise: Tensor,
    create_graph: bool = False,  # noqa: ARG001 (a constant has no graph)
) -> Attribution:
    """Independent normal numbers, which neither the model nor the pixels nor the class have any part in.

    A sanity row: it is perfectly stable, as sparse as chance (Gini √2 − 1 on one channel), and explains nothing.

    Parameters
    ----------
    model, target, create_graph
        As in :func:`~pellucid.attributions.gradient`; without effect.
    x
        Images [B, C, H, W], of which only the shape matters.
    noise
        [B, S, C, H, W], standard normal, made by the caller from the ids of the images (for instance with
        :func:`pellucid.randomness.normal_per_image`), so that an image keeps its map. The first of the S draws is used.

    Returns
    -------
    Attribution
        [B, C, H, W], signed. Its saliency map is Σ_c |·|.

    Raises
    ------
    BadInput
        If shapes are wrong or there is no draw.

    References
    ----------
    Adebayo et al. 2018, "Sanity checks for saliency maps".
    """
    check_target(x, target)
    if noise.ndim != 5 or noise.shape[1] == 0 or noise[:, 0].shape != x.shape:
        expected = f"[{x.shape[0]}, S, {', '.join(map(str, x.shape[1:]))}]"
        raise BadInput(f"the noise of a random map must have the shape {expected} with S ≥ 1; got {tuple(noise.shape)}")
    return noise[:, 0].detach().to(x)
