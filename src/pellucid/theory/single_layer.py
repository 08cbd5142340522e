"""The single layer F(x) = A(⟨w, x⟩): its attributions in closed form, and how far they can move (T3S §3.2, App. C, D).

Here w is [C, H, W], images x are [B, C, H, W], and t = ⟨w, x⟩ is taken over all entries of an image.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.types import Attribution, Image

Function = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Activation:
    """A smooth function of one number, with what the bounds need to know about it.

    Attributes
    ----------
    value, slope, curvature
        A, A' and A'', entry by entry.
    largest_slope, largest_curvature
        sup|A'| and sup|A''|, or anything above them: the bounds are as tight as these are.
    """

    value: Function
    slope: Function
    curvature: Function
    largest_slope: float
    largest_curvature: float


def _bump(t: Tensor) -> Tensor:
    """The derivative of the logistic function, without the cancellation of s·(1 - s)."""
    return torch.sigmoid(t) * torch.sigmoid(-t)


def _gelu_slope(t: Tensor) -> Tensor:
    slope: Tensor = torch.special.ndtr(t) + t * _normal_density(t)
    return slope


def _normal_density(t: Tensor) -> Tensor:
    return torch.exp(-t.square() / 2) / math.sqrt(2 * math.pi)


TANH = Activation(
    torch.tanh,
    lambda t: 4 * _bump(2 * t),  # 1 - tanh² loses all digits where tanh is near 1
    lambda t: -8 * torch.tanh(t) * _bump(2 * t),
    largest_slope=1.0,
    largest_curvature=4 / (3 * math.sqrt(3)),
)
SIGMOID = Activation(
    torch.sigmoid,
    _bump,
    lambda t: -_bump(t) * torch.tanh(t / 2),
    largest_slope=1 / 4,
    largest_curvature=1 / (6 * math.sqrt(3)),
)
SOFTPLUS = Activation(torch.nn.functional.softplus, torch.sigmoid, _bump, largest_slope=1.0, largest_curvature=1 / 4)
SINE = Activation(torch.sin, torch.cos, lambda t: -torch.sin(t), largest_slope=1.0, largest_curvature=1.0)
GELU = Activation(
    torch.nn.functional.gelu,
    _gelu_slope,
    lambda t: _normal_density(t) * (2 - t.square()),
    # The slope is largest where the curvature changes its sign, at √2.
    largest_slope=float(_gelu_slope(torch.tensor(math.sqrt(2), dtype=torch.float64))),
    largest_curvature=math.sqrt(2 / math.pi),
)
ACTIVATIONS = {"gelu": GELU, "sigmoid": SIGMOID, "sine": SINE, "softplus": SOFTPLUS, "tanh": TANH}


def single_layer(activation: Activation, w: Tensor) -> Callable[[Image], Tensor]:
    """F as a model of one class, [B, C, H, W] → [B, 1], for the attributions of this package."""
    return lambda x: activation.value(_along(w, x))[:, None]


def layer_gradient(activation: Activation, w: Tensor, x: Image) -> Attribution:
    """VG(x) = A'(t)·w, [B, C, H, W] (T3S eq. 5)."""
    return _spread(activation.slope(_along(w, x))) * w


def layer_integrated_gradients(activation: Activation, w: Tensor, x: Image, baseline: Image) -> Attribution:
    """IG(x; u) = [A(⟨w, x⟩) - A(⟨w, u⟩)] / ⟨w, x - u⟩ · (x - u) ⊙ w, [B, C, H, W] (T3S eq. 13, 25).

    Where ⟨w, x - u⟩ = 0 the quotient is its limit A'(⟨w, u⟩), which the paper excludes. Near 0 the quotient has no
    digits left, and the slope at the middle of the way is exact up to the square of its length.
    """
    end, start = _along(w, x), _along(w, baseline)
    change = end - start
    near = change.abs() < torch.finfo(change.dtype).eps ** (1 / 3)
    quotient = (activation.value(end) - activation.value(start)) / torch.where(near, 1.0, change)
    mean_slope = torch.where(near, activation.slope((start + end) / 2), quotient)
    return _spread(mean_slope) * (x - baseline) * w


def gradient_change_bound(activation: Activation, w: Tensor, step: Tensor) -> Tensor:
    """‖VG(x + δ) - VG(x)‖₂ ≤ sup|A''|·‖w‖²·‖δ‖, [B] (T3S eq. 12, with the supremum for |A''(ξ)|). Attained."""
    return activation.largest_curvature * _length(w[None]).square() * _length(step)


def integrated_gradients_change_bound(
    activation: Activation, w: Tensor, x: Image, baseline: Image, step: Tensor
) -> Tensor:
    """‖IG(x + δ; u) - IG(x; u)‖₂ ≤ ‖δ‖·‖w‖·sup|A'| + ½·‖x - u‖·‖w‖²·sup|A''|·‖δ‖, [B] (T3S eq. 31, 32).

    The ½ is ∫₀¹ t dt, as a step at the end of the path moves a point at its fraction t by t·δ only (definitions §1.5).
    The paper's constant differs here: bounding t by 1 makes the second term twice as large.
    """
    size, moved = _length(w[None]), _length(step)
    slope = moved * size * activation.largest_slope
    curvature = _length(x - baseline) * size.square() * activation.largest_curvature / 2 * moved
    return slope + curvature


def ros_numerator(activation: Activation, w: Tensor, x: Image, noisy: Image) -> Tensor:
    """√d·|1 - A'(t')/A'(t)|, [B]: the numerator of the element-wise ROS of the gradient (definitions §1.5).

    It does not depend on w but through t, and grows with the number d of entries: eq. 12 bounds an absolute change,
    ROS is a relative one. For a w without zeros; NaN where A'(t) = 0.
    """
    before = activation.slope(_along(w, x))
    ratio = activation.slope(_along(w, noisy)) / torch.where(before == 0, torch.nan, before)
    return math.sqrt(w.numel()) * (1 - ratio).abs()


def _along(w: Tensor, x: Image) -> Tensor:
    """⟨w, x⟩ of every image, [B]."""
    return x.flatten(1) @ w.flatten()


def _spread(values: Tensor) -> Tensor:
    return values[:, None, None, None]


def _length(values: Tensor) -> Tensor:
    length: Tensor = torch.linalg.vector_norm(values.flatten(1), dim=1)
    return length
