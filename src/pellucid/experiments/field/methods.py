"""What the networks of the 2-D study are trained on: ``f(networks, x, y, *, generators, progress, …) -> [S]``.

Cross-entropy, its usual remedies, and cross-entropy plus a misalignment measure. The text of Train2Explain is not
public; "misalignment" is our reading of its abstract (definitions §3). Each returns one loss a network; generators
(one a network) draw the noise, so that a network does not depend on those beside it; progress goes from 0 to 1.
"""

from collections.abc import Callable, Sequence
from typing import Annotated

import torch
from annotated_types import Ge, Le
from torch import Tensor

from pellucid.experiments.field.networks import Networks, field, logits, loss_gradient
from pellucid.naming import Count, NonNegative, Positive
from pellucid.regularisers.misalignment import angular, neighbour_consensus, relative_variation

__all__ = [
    "adversarial",
    "cross_entropy",
    "gaussian_noise",
    "gradient_penalty",
    "misalignment",
    "neighbour_misalignment",
    "relative_misalignment",
    "weight_decay",
]

Generators = Sequence[torch.Generator]
Share = Annotated[float, Ge(0), Le(1)]


def cross_entropy(networks: Networks, x: Tensor, y: Tensor, *, generators: Generators, progress: float) -> Tensor:  # noqa: ARG001 (one signature)
    """Mean cross-entropy of each network [S]; x [S, N, 2], y [S, N]."""
    return _entropy(logits(networks, x), y)


def weight_decay(
    networks: Networks,
    x: Tensor,
    y: Tensor,
    *,
    generators: Generators,  # noqa: ARG001
    progress: float,  # noqa: ARG001
    weight: NonNegative = 1e-3,
) -> Tensor:
    """Cross-entropy + weight/2 · Σ w² over all weights (not the biases)."""
    squares = torch.stack([w.square().flatten(1).sum(1) for w in networks.weights[::2]]).sum(0)
    return _entropy(logits(networks, x), y) + weight / 2 * squares


def gaussian_noise(
    networks: Networks,
    x: Tensor,
    y: Tensor,
    *,
    generators: Generators,
    progress: float,  # noqa: ARG001
    sigma: Positive = 0.1,
) -> Tensor:
    """Cross-entropy at x + N(0, σ²), drawn anew at each step: what misalignment must beat at equal σ."""
    return _entropy(logits(networks, x + sigma * _normal(x, generators)), y)


def gradient_penalty(
    networks: Networks,
    x: Tensor,
    y: Tensor,
    *,
    generators: Generators,  # noqa: ARG001
    progress: float,  # noqa: ARG001
    weight: NonNegative = 0.1,
) -> Tensor:
    """Cross-entropy + weight · mean ‖∇ₓ cross-entropy‖₂²."""
    z, gradient = loss_gradient(networks, x, y)
    return _entropy(z, y) + weight * gradient.square().sum(2).mean(1)


def adversarial(
    networks: Networks,
    x: Tensor,
    y: Tensor,
    *,
    generators: Generators,
    progress: float,  # noqa: ARG001
    eps: Positive = 0.1,
    steps: Count = 3,
) -> Tensor:
    """Cross-entropy at the points that PGD finds in the ℓ∞ ball of radius eps (random start, step 2·eps/steps)."""
    with torch.no_grad():
        start = torch.stack([torch.rand(x.shape[1:], generator=draws) for draws in generators]).to(x)
        attacked = x + eps * (2 * start - 1)
        for _ in range(steps):
            gradient = loss_gradient(networks, attacked, y)[1]
            attacked = x + (attacked + 2 * eps / steps * gradient.sign() - x).clamp(-eps, eps)
    return _entropy(logits(networks, attacked), y)


def misalignment(
    networks: Networks,
    x: Tensor,
    y: Tensor,
    *,
    generators: Generators,
    progress: float,
    weight: NonNegative = 1.0,
    sigma: Positive = 0.1,
    warm_up: Share = 0.2,
) -> Tensor:
    """Cross-entropy + λ · MA-1, the angle between g(x) and g(x + δ), δ ~ N(0, σ²) (our reading of Train2Explain).

    Parameters
    ----------
    weight
        λ, reached linearly.
    sigma
        In units of the standardised coordinates.
    warm_up
        Share of the training after which λ is reached.
    """
    moved = x + sigma * _normal(x, generators)
    return _with_variation(angular, networks, (x, moved), y, weight=_ramp(weight, progress, warm_up))


def relative_misalignment(
    networks: Networks,
    x: Tensor,
    y: Tensor,
    *,
    generators: Generators,
    progress: float,
    weight: NonNegative = 1.0,
    sigma: Positive = 0.1,
    warm_up: Share = 0.2,
) -> Tensor:
    """Cross-entropy + λ · MA-3, the relative change of g in direction and length; options as :func:`misalignment`."""
    moved = x + sigma * _normal(x, generators)
    return _with_variation(relative_variation, networks, (x, moved), y, weight=_ramp(weight, progress, warm_up))


def neighbour_misalignment(
    networks: Networks,
    x: Tensor,
    y: Tensor,
    *,
    generators: Generators,  # noqa: ARG001
    progress: float,
    weight: NonNegative = 1.0,
    neighbours: Count = 8,
    warm_up: Share = 0.2,
) -> Tensor:
    """Cross-entropy + λ · MA-2, the angle between g and the consensus of the nearest training points' g."""
    z, g = field(networks, x)
    values = torch.stack([neighbour_consensus(*one, neighbours).mean() for one in zip(x, g, strict=True)])
    return _entropy(z, y) + _ramp(weight, progress, warm_up) * values


def _with_variation(
    compare: Callable[[Tensor, Tensor], Tensor],
    networks: Networks,
    places: tuple[Tensor, Tensor],
    y: Tensor,
    *,
    weight: float,
) -> Tensor:
    """Cross-entropy at the first places + weight · mean of `compare` of the fields at both, for the same class."""
    x, moved = places
    z, g = field(networks, x)
    _, other = field(networks, moved, z.detach().argmax(2))
    values = compare(g.flatten(0, 1), other.flatten(0, 1)).view(y.shape)
    return _entropy(z, y) + weight * values.mean(1)


def _entropy(z: Tensor, y: Tensor) -> Tensor:
    values = torch.nn.functional.cross_entropy(z.flatten(0, 1), y.flatten(), reduction="none")
    return values.view(y.shape).mean(1)


def _normal(x: Tensor, generators: Generators) -> Tensor:
    return torch.stack([torch.randn(x.shape[1:], generator=draws) for draws in generators]).to(x)


def _ramp(weight: float, progress: float, warm_up: float) -> float:
    return weight * min(1.0, progress / warm_up) if warm_up else weight
