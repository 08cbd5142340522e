"""The SmoothBlock of T3S, and its insertion into any network."""

import copy
import inspect
from typing import Any, Literal

import torch
from torch import Tensor, nn

from pellucid import filters
from pellucid.errors import BadInput, unknown_name
from pellucid.filters.gaussian import check_sigma
from pellucid.models.initialisation import initialised, kaiming
from pellucid.models.probe import full_name, outputs_of, spatial_output
from pellucid.naming import find

__all__ = ["SmoothBlock", "Smoothed", "initialised", "insert_smoothing"]

Sigma = Literal["feature", "kernel", "input"] | float
SIGMA_MODES = ("feature", "kernel", "input")
INITIALISATIONS = ("default", "kaiming")


class SmoothBlock(nn.Module):
    """x + conv1x1(F(x)) with a filter F (T3S; definitions §1.1): C² + C parameters, no activation on the branch.

    Parameters
    ----------
    channels
        C of the maps [B, C, H, W] that enter; the output has the same shape.
    filter
        A name in ``pellucid.filters`` ("gaussian", "mean", "median", "identity", "learned"), or a dotted path to a
        function of the same form. "identity" is the control that has the block's parameters and smooths nothing. A
        filter with a parameter `kernel` gets one of 3×3 a channel that is trained with the network: 9·C parameters
        more, zeros at first.
    sigma
        Where the Gaussian's σ comes from; filters without σ ignore it. A size n gives σ = 0.15·n + 0.35 for each axis.
        "feature": n of the map that enters, at run time (the published code; nearly a mean filter). "kernel": n = 3, so
        σ = 0.8. "input": n of the input image, the paper's text taken literally; needs `input_size`. A number: itself.
    swapped_sigma
        Take σ along H from W and the other way round, as the published code does; no matter for square maps.
    input_size
        (H, W) of the input image.

    Raises
    ------
    BadInput
        For an unknown filter or sigma, or sigma "input" without `input_size`.
    """

    def __init__(
        self,
        channels: int,
        filter: str = "gaussian",  # noqa: A002 (the field's word)
        *,
        sigma: Sigma = "feature",
        swapped_sigma: bool = False,
        input_size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        if isinstance(sigma, str) and sigma not in SIGMA_MODES:
            raise unknown_name("sigma", sigma, (*SIGMA_MODES, "a number"))
        if not isinstance(sigma, str):
            check_sigma(sigma)
        if sigma == "input" and input_size is None:
            raise BadInput("sigma 'input' needs input_size=(H, W), the size of the input images")
        self.filter = filter
        self.sigma = sigma
        self.swapped_sigma = swapped_sigma
        self.input_size = input_size
        self._function = find(filters, filter, "filter")
        taken = inspect.signature(self._function).parameters
        self._takes_sigma = "sigma" in taken
        self.kernel = nn.Parameter(torch.zeros(channels, 3, 3)) if "kernel" in taken else None
        self.mix = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps [B, C, H, W] to maps of the same shape."""
        mixed: Tensor = self.mix(self.smooth(x))
        return x + mixed

    def smooth(self, x: Tensor) -> Tensor:
        """The filter alone, F(x)."""
        options: dict[str, Any] = {"sigma": self.sigma_at(x.shape[2], x.shape[3])} if self._takes_sigma else {}
        if self.kernel is not None:
            options["kernel"] = self.kernel
        smoothed: Tensor = self._function(x, **options)
        return smoothed

    def sigma_at(self, height: int, width: int) -> tuple[float, float]:
        """(σ along H, σ along W) in pixels for maps of `height` × `width`."""
        if not isinstance(self.sigma, str):
            return float(self.sigma), float(self.sigma)
        size = {"feature": (height, width), "kernel": (3, 3), "input": self.input_size}[self.sigma]
        assert size is not None
        along_height, along_width = reversed(size) if self.swapped_sigma else size
        return 0.15 * along_height + 0.35, 0.15 * along_width + 0.35

    def extra_repr(self) -> str:
        """The settings, in the printed model."""
        return f"filter={self.filter}, sigma={self.sigma}"


class Smoothed(nn.Module):
    """A module followed by a SmoothBlock; stands where the module stood."""

    def __init__(self, module: nn.Module, block: SmoothBlock) -> None:
        super().__init__()
        self.module = module
        self.block = block

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """What the module returns for these arguments, [B, C, H, W], smoothed."""
        smoothed: Tensor = self.block(self.module(*args, **kwargs))
        return smoothed

    @property
    def weight(self) -> Tensor:
        """The module's: some networks look at the type of a layer's weights before they call it."""
        return self.module.weight  # type: ignore[return-value]


def insert_smoothing(
    model: nn.Module,
    after: str,
    filter: str = "gaussian",  # noqa: A002 (the field's word)
    *,
    example: Tensor,
    sigma: Sigma = "feature",
    swapped_sigma: bool = False,
    initialisation: Literal["default", "kaiming"] = "default",
    seed: int = 0,
) -> nn.Module:
    """A copy of `model` with a :class:`SmoothBlock` after one of its modules.

    The module is replaced by :class:`Smoothed`, so the block's weights are part of the state dict
    (``<after>.block.mix.…``; the module's own names gain ``.module``).

    Parameters
    ----------
    model
        Any module that takes `example`. It is not touched: modes, statistics, hooks and weights stay.
    after
        Name of any module in it whose output is one tensor [B, C, H, W], as in ``model.named_modules()``; "" is the
        model itself. In a normalised model the leading ``network.`` may be left out.
    filter, sigma, swapped_sigma
        As in :class:`SmoothBlock`.
    example
        Images [B, C, H, W] on the model's device. A forward pass in eval mode finds the block's channels and size.
    initialisation
        Of the 1×1 convolution: "default" (PyTorch's; T3S's LeNet) or "kaiming" (fan-out; T3S's residual networks).
    seed
        Decides the block's initial weights, together with nothing else; the global random state is not used.

    Returns
    -------
    nn.Module
        A deep copy of the model with the block, on its device, each module in its former mode. An optimiser made for
        `model` does not know its parameters.

    Raises
    ------
    BadInput
        If there is no such module, filter, sigma or initialisation; if the module is never called, called more than
        once, has no spatial output, or maps of a single pixel; or if the model fails on the example.
    """
    if initialisation not in INITIALISATIONS:
        raise unknown_name("initialisation", initialisation, INITIALISATIONS)
    smoothed = copy.deepcopy(model)
    name = full_name(smoothed, after)
    target = smoothed.get_submodule(name)
    maps = spatial_output(smoothed, name, example)

    def build() -> SmoothBlock:
        size = (example.shape[-2], example.shape[-1])
        block = SmoothBlock(maps.shape[1], filter, sigma=sigma, swapped_sigma=swapped_sigma, input_size=size)
        if initialisation == "kaiming":
            kaiming(block.mix)
        return block

    block = initialised(build, seed).to(maps.device, maps.dtype).train(target.training)
    wrapper = Smoothed(target, block)
    wrapper.training = target.training
    smoothed = _replaced(smoothed, target, wrapper)
    _check_called(smoothed, wrapper, name, example)
    return smoothed


def _replaced(model: nn.Module, target: nn.Module, wrapper: nn.Module) -> nn.Module:
    """The model with `wrapper` under every name that `target` had (modified, or the wrapper itself)."""
    if target is model:
        return wrapper
    names = [name for name, module in model.named_modules(remove_duplicate=False) if module is target]
    for name in names:
        parent, _, child = name.rpartition(".")
        model.get_submodule(parent).register_module(child, wrapper)
    return model


def _check_called(model: nn.Module, wrapper: Smoothed, name: str, example: Tensor) -> None:
    """Refuse a model that reaches the module by another way than calling it under its name."""
    try:
        calls = outputs_of(model, example).get(wrapper.block, [])
    except BadInput as error:
        raise BadInput(f"smoothing cannot be inserted after '{name}': {error}") from error
    if len(calls) != 1:
        raise BadInput(
            f"smoothing cannot be inserted after '{name}': the model holds this module outside its named modules "
            "(a plain list, a closure) and calls it there; call it by its name"
        )
