"""What every network from elsewhere goes through before it is trained, explained or measured."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import relu6

from pellucid.errors import BadInput
from pellucid.gradients import describe
from pellucid.models.probe import Output, outputs_of

FINEST = 4
"""A SmoothBlock stands where the maps still have a quarter of the image's side, as in T3S's networks."""

ATTENTION = (nn.Dropout, nn.Softmax, nn.Identity)
"""What attention weights [B, heads, tokens, tokens] pass, which are no maps."""


def adapted(network: nn.Module, what: str, *, channels: int, classes: int, image_size: int) -> nn.Module:
    """The same network, made fit for second derivatives and looked over with one black image.

    Activations (and whatever else has an attribute ``inplace``) no longer work in place, so that the output of every
    module can be looked at. Attention modules of timm (``fused_attn``), the hard sigmoid and the hard swish use their
    formulas, which can be differentiated twice. Logits are taken out of an output object, a dictionary or a tuple (its
    first). ``smooth_after`` is the last of the outermost modules whose maps have at least a quarter of the image's
    side, or else the first with maps at all, unless the network names one itself. Left alone: functional calls in
    place, as in torchvision's DenseNet; they hurt no derivative, only whoever hooks the module before them.

    Parameters
    ----------
    what
        What the network is, for messages.

    Raises
    ------
    BadInput
        If the network fails on such images, or gives no logits [1, classes].
    """
    _replace_hard(network)
    for module in network.modules():
        if getattr(module, "inplace", False) is True:
            module.inplace = False  # type: ignore[assignment]
        if hasattr(module, "fused_attn"):
            module.fused_attn = False  # type: ignore[assignment]
    network.register_forward_hook(logits_only)
    example = torch.zeros(1, channels, image_size, image_size)
    try:
        outputs = outputs_of(network, example)
    except BadInput as error:
        raise BadInput(
            f"{what} does not work on images of {channels}×{image_size}×{image_size}: {error.__cause__ or error}"
        ) from error
    shape = outputs[network][-1].shape
    if len(shape) != 2 or shape[1] != classes:
        raise BadInput(f"{what} must give logits [1, {classes}] for one image of these data; it gave {list(shape)}")
    if not hasattr(network, "smooth_after") and (place := smoothing_place(network, outputs, image_size)):
        network.smooth_after = place  # type: ignore[assignment]
    return network


def logits_only(_: nn.Module, __: Any, output: Any) -> Tensor:
    """A forward hook: the logits of an output object, of a dictionary, or the first of a tuple."""
    found = output
    if not isinstance(output, Tensor):
        found = getattr(output, "logits", None)
    if found is None and isinstance(output, Mapping):
        found = output.get("logits")
    elif found is None and isinstance(output, tuple | list) and output:
        found = output[0]
    if not isinstance(found, Tensor):
        raise BadInput(
            f"a model must return logits, alone, as '.logits' or first of a tuple; it gave {describe(output)}"
        )
    return found


class HardSigmoid(nn.Module):
    """The same numbers as ``nn.Hardsigmoid``, whose kernel has no second derivative: relu6(x + 3) / 6."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape, entry by entry, to [0, 1]."""
        return relu6(x + 3) / 6


class HardSwish(nn.Module):
    """The same numbers as ``nn.Hardswish`` from functions with second derivatives: x·relu6(x + 3) / 6."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape, entry by entry."""
        return x * relu6(x + 3) / 6


def _replace_hard(network: nn.Module) -> None:
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if type(child) in {nn.Hardsigmoid, nn.Hardswish}:
                setattr(parent, name, HardSigmoid() if isinstance(child, nn.Hardsigmoid) else HardSwish())


def smoothing_place(network: nn.Module, outputs: Mapping[nn.Module, list[Output]], image_size: int) -> str | None:
    """The name of the module after which a SmoothBlock fits, None if no module has square maps."""
    names = {module: name for name, module in network.named_modules() if name}
    known = [m for m in outputs if m in names and not isinstance(m, ATTENTION)]
    sides = {names[m]: outputs[m][0].shape[2] for m in known if _smoothable(outputs[m])}
    fine = [name for name, side in sides.items() if FINEST * side >= image_size]
    if not fine:
        return next(iter(sides), None)
    outermost = min(name.count(".") for name in fine)
    found: str = [name for name in fine if name.count(".") == outermost][-1]
    return found


def _smoothable(calls: list[Output]) -> bool:
    """Called once, with maps [1, C, H, W] that are square and more than a pixel."""
    return len(calls) == 1 and calls[0].pixels > 1 and calls[0].shape[2] == calls[0].shape[3]


def start_of_head(network: nn.Module, classes: int) -> None:
    """Draw the last layer anew where the library starts it at 0: all gradients at the pixels would be 0 then."""
    for module in network.modules():
        if isinstance(module, nn.Linear) and module.out_features == classes and not module.weight.any():
            nn.init.trunc_normal_(module.weight, std=module.in_features**-0.5)
