"""The ε-balls that perturbations live in: how to sample, ascend steepest and project, per norm.

Everything is per image: no image's perturbation depends on its batch mates.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from pellucid.errors import BadInput, unknown_name
from pellucid.randomness import generator


class Ball(Protocol):
    """A ball of perturbations [B, C, H, W] around zero in pixel units."""

    @property
    def eps(self) -> float:
        """The radius."""

    def sample(self, x: Tensor, draws: torch.Generator) -> Tensor:
        """A random perturbation of the shape, dtype and device of `x`, drawn on the CPU from `draws`."""

    def steepest(self, gradient: Tensor) -> Tensor:
        """The direction of length 1 in this norm along which a function with this gradient grows fastest."""

    def project(self, perturbation: Tensor) -> Tensor:
        """The nearest perturbation inside the ball."""


@dataclass(frozen=True)
class Linf:
    """max|δ| ≤ eps."""

    eps: float

    def __post_init__(self) -> None:
        _check_radius(self.eps)

    def sample(self, x: Tensor, draws: torch.Generator) -> Tensor:
        """Uniform in [-eps, eps] for every entry."""
        uniform = torch.rand(x.shape, generator=draws)
        return (uniform * 2 - 1).mul_(self.eps).to(x)

    def steepest(self, gradient: Tensor) -> Tensor:
        """sign(g), with sign(0) = 0."""
        return gradient.sign()

    def project(self, perturbation: Tensor) -> Tensor:
        """Clip every entry to [-eps, eps]."""
        return perturbation.clamp(-self.eps, self.eps)


@dataclass(frozen=True)
class L2:
    """‖δ‖₂ ≤ eps over all entries of one image."""

    eps: float

    def __post_init__(self) -> None:
        _check_radius(self.eps)

    def sample(self, x: Tensor, draws: torch.Generator) -> Tensor:
        """Uniform in the ball: a normal direction times eps·u^(1/d)."""
        direction = torch.randn(x.shape, generator=draws)
        radius = torch.rand(x.shape[0], generator=draws) ** (1 / x[0].numel())
        return (self.eps * _per_image(radius, x) * self.steepest(direction)).to(x)

    def steepest(self, gradient: Tensor) -> Tensor:
        """G / ‖g‖₂, and 0 where g = 0; divided by its largest entry first, as tiny squares would underflow."""
        peak = gradient.abs().flatten(1).amax(1).view(-1, *[1] * (gradient.ndim - 1))
        scaled = gradient / torch.where(peak == 0, 1.0, peak)
        return scaled / _norm(scaled).clamp_min(1)

    def project(self, perturbation: Tensor) -> Tensor:
        """Scale images that lie outside back to length eps."""
        norm = _norm(perturbation)
        return torch.where(norm > self.eps, perturbation * (self.eps / norm.clamp_min(self.eps)), perturbation)


def ball(norm: Literal["linf", "l2"], eps: float) -> Ball:
    """The ball of that norm with radius `eps` in pixel units. Raises BadInput for an unknown norm or radius."""
    kinds: dict[str, type[Linf] | type[L2]] = {"linf": Linf, "l2": L2}
    if norm not in kinds:
        raise unknown_name("norm", norm, kinds)
    return kinds[norm](eps)


def sample_per_image(region: Ball, x: Tensor, ids: Sequence[int], *, seed: int, stream: str) -> Tensor:
    """Random perturbations [B, C, H, W] of which row i depends on `seed`, `stream` and `ids[i]` only."""
    rows = [region.sample(x[i : i + 1], generator(seed, stream, int(name))) for i, name in enumerate(ids)]
    return torch.cat(rows)


def _check_radius(eps: float) -> None:
    if not 0 <= eps < float("inf"):
        raise BadInput(f"eps is the radius of the ε-ball in pixel units and must be ≥ 0; got {eps}")


def _norm(values: Tensor) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(values, dim=tuple(range(1, values.ndim)), keepdim=True)
    return norm


def _per_image(values: Tensor, x: Tensor) -> Tensor:
    return values.view(-1, *[1] * (x.ndim - 1))
