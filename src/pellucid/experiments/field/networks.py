"""Many independent small networks 2-H-H-K at once, and the gradient field of their logits in closed form.

The closed form costs one pass of matrix products more than the logits, and is differentiated like any other
expression, where a double backward pass would cost several times as much. A test compares it with
:func:`pellucid.gradients.input_gradient`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import one_hot, softplus

from pellucid.errors import BadInput, unknown_name
from pellucid.randomness import generator

BETA = 5.0
"""Sharpness of the softplus."""


@dataclass(frozen=True)
class Activation:
    """A function, and its slope as a function of its own value h."""

    function: Callable[[Tensor], Tensor]
    times_slope: Callable[[Tensor, Tensor], Tensor]
    """``(h, v) -> slope · v``."""


ACTIVATIONS = {
    "tanh": Activation(torch.tanh, lambda h, v: torch.addcmul(v, h, h * v, value=-1)),
    "softplus": Activation(lambda a: softplus(a, beta=BETA), lambda h, v: v * -torch.expm1(-BETA * h)),
    "relu": Activation(torch.relu, lambda h, v: v * (h > 0)),
}


@dataclass(frozen=True)
class Networks:
    """S networks side by side.

    Attributes
    ----------
    weights
        W₁ [S, 2, H], b₁ [S, 1, H], W₂ [S, H, H], b₂ [S, 1, H], W₃ [S, H, K], b₃ [S, 1, K].
    activation
        "tanh", "softplus" (β = 5) or "relu".
    """

    weights: Sequence[Tensor]
    activation: str = "tanh"

    @property
    def classes(self) -> int:
        """K."""
        return int(self.weights[4].shape[2])


def initial_networks(seeds: Sequence[int], *, classes: int, width: int = 64, activation: str = "tanh") -> Networks:
    """One network a seed, each with weights that depend on its own seed only: uniform in ±1/√(inputs).

    Raises
    ------
    BadInput
        Without a seed, for fewer than two classes, or an unknown activation.
    """
    if not seeds:
        raise BadInput("no seeds: at least one network is needed")
    if classes < 2:
        raise BadInput(f"a gradient field compares the logits of at least 2 classes; got {classes}")
    if activation not in ACTIVATIONS:
        raise unknown_name("activation", activation, ACTIVATIONS)
    shapes = [(2, width), (width, width), (width, classes)]
    each = [_initial(generator("field", "initial weights", seed), shapes) for seed in seeds]
    return Networks([torch.stack(same).requires_grad_() for same in zip(*each, strict=True)], activation)


def logits(networks: Networks, x: Tensor) -> Tensor:
    """[S, N, K] of the points [S, N, 2]."""
    return _output(networks, _hidden(networks, x)[1])


def field(networks: Networks, x: Tensor, target: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Logits and the gradient field in which misalignment is measured (definitions §3), free of labels and gauge.

    Parameters
    ----------
    x
        Points [S, N, 2].
    target
        Classes [S, N], used for more than two classes only; None: the predicted ones.

    Returns
    -------
    logits, field
        [S, N, K], and [S, N, 2] in logits per standardised unit: ∇ₓ(z₁ - z₀) for two classes, else
        ∇ₓ(z_target - mean z). Both with their graph to the weights.
    """
    hidden = _hidden(networks, x)
    z = _output(networks, hidden[1])
    if networks.classes == 2:
        cotangent = z.new_tensor([[[-1.0, 1.0]]]).expand(len(z), 1, 2)
    else:
        chosen = z.detach().argmax(2) if target is None else target
        cotangent = one_hot(chosen, networks.classes).to(z) - 1 / networks.classes
    return z, _pulled_back(networks, hidden, cotangent)


def loss_gradient(networks: Networks, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Logits [S, N, K], and the gradient of each point's cross-entropy with respect to the point [S, N, 2]."""
    hidden = _hidden(networks, x)
    z = _output(networks, hidden[1])
    return z, _pulled_back(networks, hidden, z.softmax(2) - one_hot(y, networks.classes).to(z))


def _hidden(networks: Networks, x: Tensor) -> tuple[Tensor, Tensor]:
    w1, b1, w2, b2, *_ = networks.weights
    function = ACTIVATIONS[networks.activation].function
    first = function(torch.baddbmm(b1, x, w1))
    return first, function(torch.baddbmm(b2, first, w2))


def _output(networks: Networks, second: Tensor) -> Tensor:
    return torch.baddbmm(networks.weights[5], second, networks.weights[4])


def _pulled_back(networks: Networks, hidden: tuple[Tensor, Tensor], cotangent: Tensor) -> Tensor:
    """Σ_k cotangent_k ∇ₓz_k, by the chain rule: [S, N or 1, K] → [S, N, 2]."""
    w1, _, w2, _, w3, _ = networks.weights
    times_slope = ACTIVATIONS[networks.activation].times_slope
    second = times_slope(hidden[1], torch.bmm(cotangent, w3.mT))
    first = times_slope(hidden[0], torch.bmm(second, w2.mT))
    return torch.bmm(first, w1.mT)


def _initial(draws: torch.Generator, shapes: Sequence[tuple[int, int]]) -> list[Tensor]:
    sizes = [(rows, outputs, inputs) for inputs, outputs in shapes for rows in (inputs, 1)]
    return [(2 * torch.rand(rows, outputs, generator=draws) - 1) / inputs**0.5 for rows, outputs, inputs in sizes]
