"""The one place where a gradient with respect to the input is taken.

Attacks, objectives, attributions and metrics all call :func:`input_gradient`; a test keeps any other
``torch.autograd.grad`` out of the package.
"""

from collections.abc import Callable
from contextlib import nullcontext

import torch
from torch import Tensor

from pellucid.errors import BadInput
from pellucid.modes import differentiable_attention
from pellucid.types import Image, Labels, check_labels

Score = Callable[[Tensor], Tensor]
"""Maps logits [B, K] to one number per image [B]."""


def input_gradient(
    model: Callable[[Image], Tensor], x: Image, score: Score, *, create_graph: bool = False
) -> tuple[Tensor, Tensor]:
    """Gradient of a per-image score of the logits with respect to the pixels.

    Parameters
    ----------
    model
        Maps images [B, C, H, W] to logits [B, K]. Its mode (train or eval) is the caller's business.
    x
        Images; never modified. With ``create_graph`` the graph back to ``x`` is kept if ``x`` requires a gradient.
    score
        What to differentiate, for each image: see :func:`logit_of`, :func:`cross_entropy_with`.
    create_graph
        Keep the graph of the gradient, so that it can itself be trained on (double backward). Attention then takes
        the formula instead of a fused kernel: see :func:`pellucid.modes.differentiable_attention`.

    Returns
    -------
    logits
        [B, K]; detached unless ``create_graph``.
    gradient
        [B, C, H, W], in units of score per unit of pixel value. Images are independent of each other as long as the
        model treats them so (BatchNorm in train mode does not).
    """
    leaf = x if create_graph and x.requires_grad else x.detach().requires_grad_(True)
    with torch.enable_grad(), differentiable_attention() if create_graph else nullcontext():
        logits = model(leaf)
        if not isinstance(logits, Tensor) or logits.ndim != 2:
            raise BadInput(f"the model must return logits [B, K] as one tensor; it returned {describe(logits)}")
        values = score(logits)
        if values.shape != x.shape[:1]:  # a target shorter than the batch would leave the other images a zero gradient
            raise BadInput(f"{len(x)} images need one score each; got a score of shape {tuple(values.shape)}")
        (gradient,) = torch.autograd.grad(values.sum(), leaf, create_graph=create_graph)
    return (logits, gradient) if create_graph else (logits.detach(), gradient)


def gradient_of(values: Tensor, x: Tensor) -> Tensor:
    """Gradient of the sum of `values` with respect to `x`, in the shape of `x`; 0 where they do not depend on it.

    For what is computed from an input gradient that kept its graph: a curvature, a saliency map under attack.
    """
    if not values.requires_grad:
        return torch.zeros_like(x)
    (gradient,) = torch.autograd.grad(values.sum(), x, materialize_grads=True, retain_graph=True)
    return gradient


def hessian_vector_products(
    model: Callable[[Image], Tensor], x: Image, score: Score, directions: Tensor
) -> tuple[Tensor, Tensor]:
    """The gradient of a per-image score, and how it changes along directions, by double backward through one graph.

    Parameters
    ----------
    model, x, score
        As in :func:`input_gradient`.
    directions
        v, [B, M, C, H, W].

    Returns
    -------
    gradient
        ∇s(x), [B, C, H, W], detached.
    products
        ∇²s(x)·v, [B, M, C, H, W], detached. Exact wherever the second derivative exists, so 0 for a network of ReLUs
        and linear layers, however sharply that bends between its pieces.
    """
    leaf = x.detach().requires_grad_(True)
    _, gradient = input_gradient(model, leaf, score, create_graph=True)
    along = [(gradient * v).flatten(1).sum(1) for v in directions.unbind(1)]
    return gradient.detach(), torch.stack([gradient_of(values, leaf) for values in along], 1)


def logit_of(target: Labels) -> Score:
    """Score z_target: the logit of one class per image (what T3S explains)."""
    return _checked(target, lambda logits: logits.gather(1, target[:, None]).squeeze(1))


def centred_logit_of(target: Labels) -> Score:
    """Score z_target - mean(z): free of the gauge z → z + c(x) that the softmax cannot see (definitions §4.0)."""
    return _checked(target, lambda logits: logits.gather(1, target[:, None]).squeeze(1) - logits.mean(1))


def cross_entropy_with(target: Labels) -> Score:
    """Score: the cross-entropy of each image (not averaged, so that an image's gradient ignores its batch mates)."""
    return _checked(target, lambda logits: torch.nn.functional.cross_entropy(logits, target, reduction="none"))


def _checked(target: Labels, score: Score) -> Score:
    """The score, with the labels looked at when the number of classes is first known: once, as it waits for a GPU."""
    seen: set[int] = set()

    def checked(logits: Tensor) -> Tensor:
        if logits.shape[1] not in seen:
            check_labels(target, logits.shape[1])
            seen.add(logits.shape[1])
        return score(logits)

    return checked


def describe(value: object) -> str:
    """A few words about a model's output, for error messages."""
    return f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
