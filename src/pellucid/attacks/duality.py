"""Fenchel duality of perturbation and gradient: the theory of norm-regularised adversarial training (definitions §2.1).

For a penalty h on perturbations, max_δ {⟨g, δ⟩ - h(δ)} = h*(g), attained at δ* ∈ ∂h*(g). So training on x + δ* with
g = ∇ₓℓ is, to first order in δ*, training on ℓ + h*(∇ₓℓ): a gradient penalty without double backward.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from pellucid.errors import BadInput
from pellucid.gradients import cross_entropy_with, input_gradient
from pellucid.modes import mode, unwrapped
from pellucid.types import Image, Labels, check_images


class Penalty(Protocol):
    """A convex penalty on perturbations, image by image. Any object with these three methods will do."""

    def penalty(self, perturbation: Tensor) -> Tensor:
        """h(δ) ≥ 0 of every image [B]; +∞ outside of the domain of h."""

    def conjugate(self, gradient: Tensor) -> Tensor:
        """h*(g) = max_δ {⟨g, δ⟩ - h(δ)} of every image [B]: what training on x + δ* adds to the loss."""

    def maximiser(self, gradient: Tensor) -> Tensor:
        """A δ* that attains h*(g), of the shape and dtype of g; 0 where nothing is gained."""


@dataclass(frozen=True)
class L1:
    """Penalise ‖g‖₁: h is 0 for max|δ| ≤ eps and +∞ elsewhere; h* = eps·‖g‖₁; δ* = eps·sign(g)."""

    eps: float

    def __post_init__(self) -> None:
        _check_weight("eps", self.eps)

    def penalty(self, perturbation: Tensor) -> Tensor:
        """0 or +∞ [B]."""
        return _indicator(perturbation.abs(), self.eps)

    def conjugate(self, gradient: Tensor) -> Tensor:
        """eps·‖g‖₁ [B]."""
        return self.eps * gradient.abs().flatten(1).sum(1)

    def maximiser(self, gradient: Tensor) -> Tensor:
        """eps·sign(g), with sign(0) = 0."""
        return self.eps * gradient.sign()


@dataclass(frozen=True)
class ElasticNet:
    """Penalise eps·‖g‖₁ + eps2·‖g‖₂²: h(δ) = Σ relu(|δ| - eps)² / (4·eps2); δ* = eps·sign(g) + 2·eps2·g.

    With eps2 = 0 this is :class:`L1`, its limit (the published code divides by zero there: D-N1).
    """

    eps: float
    eps2: float

    def __post_init__(self) -> None:
        _check_weight("eps", self.eps)
        _check_weight("eps2", self.eps2)

    def penalty(self, perturbation: Tensor) -> Tensor:
        """Σ relu(|δ| - eps)² / (4·eps2) [B]: a sum of squares, not a squared norm, so that its gradient at 0 is 0."""
        if self.eps2 == 0:
            return L1(self.eps).penalty(perturbation)
        return (perturbation.abs() - self.eps).relu().square().flatten(1).sum(1) / (4 * self.eps2)

    def conjugate(self, gradient: Tensor) -> Tensor:
        """eps·‖g‖₁ + eps2·‖g‖₂² [B]."""
        return L1(self.eps).conjugate(gradient) + self.eps2 * gradient.square().flatten(1).sum(1)

    def maximiser(self, gradient: Tensor) -> Tensor:
        """eps·sign(g) + 2·eps2·g."""
        return L1(self.eps).maximiser(gradient) + 2 * self.eps2 * gradient


@dataclass(frozen=True)
class GroupNorm:
    """Penalise Σ_G‖g_G‖₂ over square blocks G: h is 0 if every ‖δ_G‖₂ ≤ eps, else +∞; δ*_G = eps·g_G/‖g_G‖₂.

    Attributes
    ----------
    eps
        L2 radius of every block, in pixel units.
    block
        Side of a block in pixels. Blocks that stick out at the bottom and right are cut, as if zeros went on there.
    joint_channels
        Whether a block spans all channels; in the published code each channel has its own (D-N4).
    """

    eps: float
    block: int
    joint_channels: bool = False

    def __post_init__(self) -> None:
        _check_weight("eps", self.eps)
        if self.block < 1:
            raise BadInput(f"block is the side of a group in pixels and must be ≥ 1; got {self.block}")

    def penalty(self, perturbation: Tensor) -> Tensor:
        """0 or +∞ [B]."""
        return _indicator(self.lengths(perturbation), self.eps)

    def conjugate(self, gradient: Tensor) -> Tensor:
        """eps·Σ_G‖g_G‖₂ [B]."""
        return self.eps * self.lengths(gradient).flatten(1).sum(1)

    def maximiser(self, gradient: Tensor) -> Tensor:
        """eps·g_G/‖g_G‖₂ in every group, and 0 in a group of zeros (where the published code gives NaN: D-N2)."""
        peak = self._over_pixels(self._peaks(gradient), gradient)
        scaled = gradient / peak  # at least one entry of size 1 in a group that is not zero, so its length is ≥ 1
        return self.eps * scaled / self._over_pixels(self.lengths(scaled), gradient).clamp_min(1)

    def project(self, perturbation: Tensor) -> Tensor:
        """The nearest perturbation in the domain: groups longer than eps are scaled back."""
        lengths = self._over_pixels(self.lengths(perturbation), perturbation)
        return torch.where(lengths > self.eps, self.maximiser(perturbation), perturbation)

    def lengths(self, values: Tensor) -> Tensor:
        """‖v_G‖₂ of all groups, [B, C, rows, columns], or [B, 1, rows, columns] for joint channels.

        Pixel (i, j) of channel c is in group (c, i // block, j // block).
        """
        peaks = self._peaks(values)  # squares of the tiny gradients of a confident model would underflow
        squares = (self._grouped(values) / peaks).square().sum(self._inner, keepdim=True)
        # The root of 1 in a group of zeros: a norm is NaN there after double backward.
        norms = torch.where(squares > 0, squares, 1.0).sqrt() * (squares > 0)
        lengths: Tensor = (peaks * norms).squeeze((3, 5))
        return lengths

    @property
    def _inner(self) -> tuple[int, ...]:
        return (1, 3, 5) if self.joint_channels else (3, 5)

    def _grouped(self, values: Tensor) -> Tensor:
        """[B, C, H, W] to [B, C, rows, block, columns, block]."""
        if values.ndim != 4 or self.block > min(values.shape[2:]):
            raise BadInput(
                f"block {self.block} does not fit in images of shape {tuple(values.shape)}; choose a smaller one"
            )
        height, width = values.shape[2:]
        padded = pad(values, (0, -width % self.block, 0, -height % self.block))
        grouped: Tensor = padded.unflatten(3, (-1, self.block)).unflatten(2, (-1, self.block))
        return grouped

    def _peaks(self, values: Tensor) -> Tensor:
        """max|v| of every group, and 1 in a group of zeros, as [B, C or 1, rows, 1, columns, 1]; a constant."""
        peaks = self._grouped(values.detach().abs()).amax(self._inner, keepdim=True)
        return torch.where(peaks == 0, torch.ones_like(peaks), peaks)

    def _over_pixels(self, groups: Tensor, like: Tensor) -> Tensor:
        """One number per group, repeated on each of its pixels: [B, C or 1, H, W]."""
        rows, columns = groups.shape[2], groups.flatten(3).shape[3]
        grid = groups.reshape(*groups.shape[:2], rows, columns)
        tiled = grid.repeat_interleave(self.block, 2).repeat_interleave(self.block, 3)
        return tiled[..., : like.shape[2], : like.shape[3]]


Move = Callable[[Tensor, Tensor], Tensor]
"""Maps a perturbation and the gradient of each image's loss there, both [B, C, H, W], to the next perturbation."""


def towards(penalty: Penalty, *, share: float = 1.0) -> Move:
    """The move towards δ*(g), at most `share` of its length far; by default from 0 all the way: the closed form.

    For the iterated attack under any penalty: a convex domain is never left, the direction is one of ascent of
    ℓ(x + δ) - h(δ), and where the gradient is constant δ* is reached after 1/share steps and kept.
    """

    def move(perturbation: Tensor, gradient: Tensor) -> Tensor:
        goal = penalty.maximiser(gradient)
        way = goal - perturbation
        reach, distance = share * _length(goal), _length(way)
        return torch.where(distance <= reach, goal, perturbation + way * (reach / distance))

    return move


def ascend(model: nn.Module, x: Image, y: Labels, move: Move, *, steps: int = 1) -> Image:
    """Images perturbed along the gradient of the cross-entropy: δ ← move(δ, ∇ₓℓ(x + δ)) from δ = 0, `steps` times.

    Clean where the published code is not (D-N5, D-N7): the model is in eval mode, so that BatchNorm statistics and
    dropout have no part in it; δ is in pixel units; and x + δ is clamped to [0, 1] after every step. With a penalty of
    your own, ``ascend(model, x, y, towards(mine))`` gives the images to train on.

    Parameters
    ----------
    model
        Maps images to logits; each module gets its mode back.
    x, y
        Images [B, C, H, W] in [0, 1] and true labels [B].

    Returns
    -------
    [B, C, H, W] in [0, 1], detached. Costs `steps` forward and input-gradient passes.
    """
    check_images(x, y)
    if steps < 1:
        raise BadInput(f"steps must be ≥ 1; got {steps}")
    x, score = x.detach(), cross_entropy_with(y)
    perturbed = x
    with mode(model, training=False):
        for _ in range(steps):
            _, gradient = input_gradient(unwrapped(model), perturbed, score)
            perturbed = (x + move(perturbed - x, gradient)).clamp(0, 1)
    return perturbed.detach()


def _length(values: Tensor) -> Tensor:
    """‖v‖₂ of every image, shaped to multiply [B, …]."""
    length: Tensor = torch.linalg.vector_norm(values.flatten(1), dim=1)
    return length.view(-1, *[1] * (values.ndim - 1))


def _check_weight(name: str, value: float) -> None:
    if not 0 <= value < float("inf"):
        raise BadInput(f"{name} must be a finite number ≥ 0; got {value}")


def _indicator(sizes: Tensor, radius: float) -> Tensor:
    """0 for images of which no size exceeds the radius, else +∞; δ* itself may do so by a rounding error."""
    slack = 1 + torch.finfo(sizes.dtype).eps ** 0.75
    inside = (sizes <= radius * slack).flatten(1).all(1)
    return torch.where(inside, 0.0, float("inf")).to(sizes)
