"""The smooth twin of a network with kinks: the same weights, Softplus in place of ReLU and its relatives."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.functional import softplus
from torch.overrides import TorchFunctionMode

from pellucid.errors import BadInput


class SoftplusTwin(nn.Module):
    """Computes what `network` computes with every ReLU, and every relative of it, replaced by Softplus.

    Attributes
    ----------
    network
        The original: the very same module, not a copy. So the twin follows its weights, devices and modes, and
        ``twin.eval()`` is ``network.eval()``.
    replaced
        How many calls of activations the last forward pass replaced; with 0 the twin's numbers are the network's own.
    """

    def __init__(self, network: nn.Module, beta: float) -> None:
        super().__init__()
        self.network = network
        self.beta = beta
        self.replaced = 0
        self.training = network.training

    def forward(self, x: Tensor) -> Tensor:
        """Images [B, C, H, W] to the logits of the smooth network."""
        with _SoftplusForKinks(self.beta) as smooth:
            logits: Tensor = self.network(x)
        self.replaced = smooth.calls
        return logits


def softplus_twin(model: nn.Module, *, beta: float = 1.0) -> SoftplusTwin:
    """A view of the model in which ReLU(t) is s(t) = log(1 + exp(beta·t)) / beta, on the same weight tensors.

    The input gradient of a ReLU network is piecewise constant, so its second derivatives, which an attack on the
    gradient ascends, are 0; those of the twin are not (Ghorbani et al. 2019; definitions §4.7). The same holds for the
    relatives of ReLU, which are sums of it: leaky ReLU, PReLU and RReLU of slope a become a·t + (1-a)·s(t); ReLU6 and
    Hardtanh between low and high become low + s(t-low) - s(t-high), and Hardsigmoid and Hardswish likewise.

    Calls are replaced where they happen: modules (``nn.ReLU6``) as well as functions (``torch.nn.functional.relu6``,
    ``x.relu()``), in place or not. Not replaced: other kinks (max-pooling, ``clamp``, ``maximum``, Threshold, the
    shrinking functions), and code that TorchScript compiled. In a network that has only such kinks the attacks on the
    explanation have nothing to ascend: if chance (:func:`pellucid.attacks.explanation.random`) changes its maps and
    they do not, they say nothing about it.

    Parameters
    ----------
    model
        Any module; it is not changed. One that calls no ReLU (tanh, SiLU) needs no twin: this one then computes the
        same numbers and says so by ``replaced == 0`` after a forward pass.
    beta
        Sharpness; the twin tends to the model for beta → ∞. The published attack has 1.

    Raises
    ------
    BadInput
        If `beta` is not a positive finite number.
    """
    if not 0 < beta < float("inf"):
        raise BadInput(f"beta is the sharpness of the Softplus and must be a positive finite number; got {beta}")
    return SoftplusTwin(model, beta)


# What stands in for an activation. Arguments have the names and defaults of torch's, as they may come as keywords.


def _relu(input: Tensor, *, beta: float) -> Tensor:  # noqa: A002
    return softplus(input, beta)


def _hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, *, beta: float) -> Tensor:  # noqa: A002
    return min_val + softplus(input - min_val, beta) - softplus(input - max_val, beta)


def _relu6(input: Tensor, *, beta: float) -> Tensor:  # noqa: A002
    return _hardtanh(input, 0.0, 6.0, beta=beta)


def _hardsigmoid(input: Tensor, *, beta: float) -> Tensor:  # noqa: A002
    return _relu6(input + 3, beta=beta) / 6


def _hardswish(input: Tensor, *, beta: float) -> Tensor:  # noqa: A002
    return input * _hardsigmoid(input, beta=beta)


def _leaky_relu(input: Tensor, negative_slope: float | Tensor = 0.01, *, beta: float) -> Tensor:  # noqa: A002
    return negative_slope * input + (1 - negative_slope) * softplus(input, beta)


def _prelu(input: Tensor, weight: Tensor, *, beta: float) -> Tensor:  # noqa: A002
    """`weight` holds one slope, or one for every channel: dimension 1 of the input."""
    return _leaky_relu(input, weight.reshape(-1, *[1] * (input.ndim - 2)), beta=beta)


def _rrelu(
    input: Tensor,  # noqa: A002
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    training: bool = False,
    *,
    beta: float,
) -> Tensor:
    """In training every entry has a random slope."""
    slope = torch.empty_like(input).uniform_(lower, upper) if training else (lower + upper) / 2
    return _leaky_relu(input, slope, beta=beta)


IN_PLACE = (torch.relu_, Tensor.relu_, functional.hardtanh_, functional.leaky_relu_, torch.rrelu_)
SMOOTH: Mapping[Callable[..., Any], Callable[..., Tensor]] = {
    **dict.fromkeys((functional.relu, torch.relu, Tensor.relu, torch.relu_, Tensor.relu_), _relu),
    functional.relu6: _relu6,
    **dict.fromkeys((functional.hardtanh, functional.hardtanh_), _hardtanh),
    functional.hardsigmoid: _hardsigmoid,
    functional.hardswish: _hardswish,
    **dict.fromkeys((functional.leaky_relu, functional.leaky_relu_), _leaky_relu),
    **dict.fromkeys((torch.prelu, Tensor.prelu), _prelu),  # torch.nn.functional.prelu is torch.prelu
    **dict.fromkeys((functional.rrelu, torch.rrelu, torch.rrelu_), _rrelu),
}
"""By the functions that a mode sees: the outermost one that torch calls, by name or from its modules."""


class _SoftplusForKinks(TorchFunctionMode):
    def __init__(self, beta: float) -> None:
        super().__init__()
        self.beta = beta
        self.calls = 0

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Every call of a torch function while the mode is on; inside of here it is off."""
        if func not in SMOOTH:
            return func(*args, **(kwargs or {}))
        self.calls += 1
        options = dict(kwargs or {})
        overwrite = options.pop("inplace", False) or func in IN_PLACE
        return _called(SMOOTH[func], *args, **options, beta=self.beta, overwrite=overwrite)


def _called(smooth: Callable[..., Tensor], input: Tensor, *args: Any, overwrite: bool, **options: Any) -> Tensor:  # noqa: A002
    if overwrite:  # others may hold the same tensor and expect it changed
        return input.copy_(smooth(input.clone(), *args, **options))
    return smooth(input, *args, **options)
