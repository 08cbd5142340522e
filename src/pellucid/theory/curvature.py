"""How fast the gradient field of a network turns around an image: what T3S §3.2 calls its curvature, per image.

With g the input gradient of a score and v a direction of length 1, the field changes by J·v per unit of length (J = ∇g,
the Hessian of the score). The numbers are root mean squares over random v, after Hutchinson (1990): E‖J·v‖² = ‖J‖²/D in
the Frobenius norm, where D is the number of entries of an image.

Two ways to get J·v: exactly, by double backward, and by central differences over a step. A network of ReLUs is linear
in pieces: its J is 0 wherever it exists, and all change of its gradients happens in jumps between the pieces. Only
differences see those, and so their step h is no error to be made small but the scale at which one looks: a jump is met
with a chance of order h and counts as 1/h² in the mean square, so the numbers of such networks grow like 1/√h, and
compare at equal steps only.

The direction curvature governs small angular misalignment: for noise of standard deviation σ → 0, E[MA-1] =
σ²·D/4 · direction² (definitions §3), since a draw has the squared length σ²·D.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pellucid.errors import BadInput
from pellucid.gradients import Score, hessian_vector_products, input_gradient
from pellucid.randomness import normal_per_image
from pellucid.types import Image


@dataclass(frozen=True)
class Curvature:
    """Change of the gradient g per unit of L2 length in pixel units: float64 [B] each; lower = smoother field.

    Attributes
    ----------
    absolute
        ‖J·v‖, in units of score per pixel value². Doubles when the logits double.
    relative
        ‖J·v‖ / ‖g‖: free of the scale of the score. NaN where g = 0.
    direction
        ‖P⊥·J·v‖ / ‖g‖, with P⊥ = I - g·gᵀ/‖g‖²: how fast g turns, without how fast it grows. At most `relative`. NaN
        where g = 0.
    """

    absolute: Tensor
    relative: Tensor
    direction: Tensor


def unit_directions(ids: Sequence[int], shape: Sequence[int], *, draws: int, seed: int) -> Tensor:
    """Random directions of L2 length 1, float64 [B, draws, *shape]; those of an image depend on its id and the seed."""
    if draws < 1:
        raise BadInput(f"a curvature needs at least one direction per image; got draws={draws}")
    normal = normal_per_image(ids, (draws, *shape), seed=seed, stream="curvature").double()
    return torch.nn.functional.normalize(normal.flatten(2), dim=2).view_as(normal)


def curvature_of_differences(
    model: nn.Module, x: Image, score: Score, directions: Tensor, *, step: float = 0.01
) -> Curvature:
    """Curvature seen over a distance: J·v ≈ [g(x + h·v) - g(x - h·v)] / 2h.

    Parameters
    ----------
    model, x, score
        As in :func:`pellucid.gradients.input_gradient`; put the model in eval mode.
    directions
        v, [B, M, C, H, W] of length 1: see :func:`unit_directions`. Cost: 2·M + 1 input gradients.
    step
        The scale, > 0: the root mean square change of a pixel, as the σ of noise. h = step·√D, so that one value suits
        images of every size. The perturbed images are not clamped to [0, 1]: both sides must be equally far.
    """
    if not 0 < step < float("inf"):
        raise BadInput(f"the step of a finite difference must be a finite number > 0; got {step}")
    length = step * x[0].numel() ** 0.5

    v = directions.to(x).unbind(1)
    ahead, behind = (
        torch.stack([input_gradient(model, x + side * length * one, score)[1] for one in v], 1) for side in (1, -1)
    )
    return _summary(input_gradient(model, x, score)[1], (ahead.double() - behind.double()) / (2 * length))


def curvature_of_hessian(model: nn.Module, x: Image, score: Score, directions: Tensor) -> Curvature:
    """Curvature at the image itself, exactly: J·v by double backward. 0 for networks of ReLUs and linear layers.

    Parameters as in :func:`curvature_of_differences`. Cost: one input gradient and M backward passes through it.
    """
    return _summary(*hessian_vector_products(model, x, score, directions.to(x)))


def _summary(gradient: Tensor, changes: Tensor) -> Curvature:
    """The three numbers from g and J·v [B, M, …], in float64: squares of small gradients would underflow."""
    g, changed = gradient.flatten(1).double()[:, None], changes.flatten(2).double()
    size = torch.linalg.vector_norm(g, dim=2, keepdim=True)
    size = torch.where(size > 0, size, torch.nan)
    along = g / size
    turned = changed - (along * changed).sum(2, keepdim=True) * along
    absolute, turn = (torch.linalg.vector_norm(one, dim=2).square().mean(1).sqrt() for one in (changed, turned))
    return Curvature(absolute, absolute / size[:, 0, 0], turn / size[:, 0, 0])
