"""Integrated gradients: the gradient averaged on the straight way from a baseline, times the way."""

from collections.abc import Callable

import torch
from torch import Tensor

from pellucid.attributions.quadrature import quadrature
from pellucid.attributions.reduction import reduces
from pellucid.attributions.targets import check_target
from pellucid.attributions.weighted import images_at_once, weighted_gradient
from pellucid.errors import BadInput
from pellucid.naming import Count
from pellucid.types import Attribution, Image, Labels


@reduces("signed")
def integrated_gradients(
    model: Callable[[Image], Tensor],
    x: Image,
    target: Labels,
    *,
    baseline: float | Tensor = 0.0,
    steps: Count = 50,
    rule: str = "gauss_legendre",
    chunk: Count | None = None,
    create_graph: bool = False,
) -> Attribution:
    """(x − u) ⊙ ∫₀¹ ∂z_target/∂x (u + α(x − u)) dα, the integral by a quadrature rule.

    Parameters
    ----------
    model, x, target, create_graph
        As in :func:`~pellucid.attributions.gradient`.
    baseline
        u, in pixel values: a number, or a tensor that broadcasts to [B, C, H, W]. The default is black. T3S's baseline
        is 0 in *normalised* values, which is the mean colour of CIFAR and ImageNette: pass that colour, [C, 1, 1], to
        repeat it.
    steps
        Number of gradients per image; any number from 1 on (2 for the trapezoids).
    rule
        ``gauss_legendre`` (default), ``midpoint``, ``trapezoid``, or ``trapezoid_legacy``, which with 10 steps is
        what T3S measured: see :mod:`~pellucid.attributions.quadrature`.
    chunk
        Images per forward pass at most: memory, not the result, depends on it. None: 128, fewer where they are large.

    Returns
    -------
    Attribution
        [B, C, H, W], signed, in logits. Its saliency map is the signed Σ_c. Completeness: the entries of an image sum
        to z_target(x) − z_target(u), up to the rule's error.

    Raises
    ------
    BadInput
        If shapes, the rule's name or the number of steps are wrong.

    References
    ----------
    Sundararajan et al. 2017, "Axiomatic attribution for deep networks"; definitions §4.0.
    """
    check_target(x, target)
    size = images_at_once(x) if chunk is None else chunk
    nodes, weights = quadrature(rule, steps)
    with torch.set_grad_enabled(create_graph):
        start = _broadcast(baseline, x)
        way = x - start
        alphas = torch.tensor(nodes, dtype=x.dtype, device=x.device).view(-1, 1, 1, 1, 1)

        def points(images: slice, steps: slice) -> Tensor:
            return torch.addcmul(start[images], alphas[steps], way[images])

        mean = weighted_gradient(model, target, points, weights, chunk=size, create_graph=create_graph)
        return way * mean


def _broadcast(baseline: float | Tensor, x: Image) -> Tensor:
    u = torch.as_tensor(baseline, dtype=x.dtype, device=x.device)
    try:
        return u.expand_as(x)
    except RuntimeError as error:
        raise BadInput(
            f"a baseline of shape {tuple(u.shape)} does not broadcast to the images {tuple(x.shape)}: "
            "give a number, or a tensor such as [C, 1, 1] or [C, H, W]"
        ) from error
