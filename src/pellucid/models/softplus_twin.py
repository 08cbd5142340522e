"""The smooth twin of a ReLU network: the same weights, Softplus in place of ReLU."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import relu, softplus
from torch.overrides import TorchFunctionMode

from pellucid.errors import BadInput

IN_PLACE = (torch.relu_, Tensor.relu_)
RELUS = (relu, torch.relu, Tensor.relu, *IN_PLACE)


class SoftplusTwin(nn.Module):
    """Computes what `network` computes with every ReLU replaced by Softplus.

    Attributes
    ----------
    network
        The original: the very same module, not a copy. So the twin follows its weights, devices and modes, and
        ``twin.eval()`` is ``network.eval()``.
    replaced
        How many calls of ReLU the last forward pass replaced; with 0 the twin's numbers are the network's own.
    """

    def __init__(self, network: nn.Module, beta: float) -> None:
        super().__init__()
        self.network = network
        self.beta = beta
        self.replaced = 0
        self.training = network.training

    def forward(self, x: Tensor) -> Tensor:
        """Images [B, C, H, W] to the logits of the smooth network."""
        with _SoftplusForRelu(self.beta) as smooth:
            logits: Tensor = self.network(x)
        self.replaced = smooth.calls
        return logits


def softplus_twin(model: nn.Module, *, beta: float = 1.0) -> SoftplusTwin:
    """A view of the model in which ReLU(t) is log(1 + exp(beta·t)) / beta, on the same weight tensors.

    The input gradient of a ReLU network is piecewise constant, so its second derivatives, which an attack on the
    gradient ascends, are 0; those of the twin are not (Ghorbani et al. 2019; definitions §4.7). Calls are replaced
    where they happen: modules (``nn.ReLU``) as well as functions (``torch.nn.functional.relu``, ``x.relu()``), in place
    or not. Not replaced: other kinks (ReLU6, leaky ReLU, max-pooling, ``clamp``), and code that TorchScript compiled.

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


class _SoftplusForRelu(TorchFunctionMode):
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
        if func not in RELUS:
            return func(*args, **(kwargs or {}))
        self.calls += 1
        return _softplus(*args, **(kwargs or {}), beta=self.beta, overwrite=func in IN_PLACE)


def _softplus(input: Tensor, inplace: bool = False, *, beta: float, overwrite: bool) -> Tensor:  # noqa: A002 (relu's)
    if inplace or overwrite:  # others may hold the same tensor and expect it changed
        return input.copy_(softplus(input.clone(), beta))
    return softplus(input, beta)
