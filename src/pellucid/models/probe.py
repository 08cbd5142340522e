"""What the modules of a network return for an example: found by a forward pass that leaves no trace."""

from difflib import get_close_matches
from itertools import takewhile
from typing import NamedTuple

import torch
from torch import Tensor, nn

from pellucid.errors import BadInput, unknown_name
from pellucid.modes import mode

PREFIX = "network."
"""Where :func:`pellucid.models.normalised.normalised` keeps the network."""

MOST_NAMES = 20


class Output(NamedTuple):
    """What a module returned; the shape is empty if it was no tensor."""

    type: str
    shape: tuple[int, ...]
    device: torch.device
    dtype: torch.dtype

    @property
    def pixels(self) -> int:
        """H·W of maps [B, C, H, W]; 0 for anything else."""
        return self.shape[2] * self.shape[3] if len(self.shape) == 4 else 0


def outputs_of(model: nn.Module, example: Tensor) -> dict[nn.Module, list[Output]]:
    """Every call of every module in one forward pass in eval mode, in the order in which the modules first finished.

    Modes, BatchNorm statistics and the random state are as before; no hook stays, even where the model fails.

    Raises
    ------
    BadInput
        If the model fails on the example.
    """
    outputs: dict[nn.Module, list[Output]] = {}

    def look(module: nn.Module, _: object, output: object) -> None:
        source, shape = (output, tuple(output.shape)) if isinstance(output, Tensor) else (example, ())
        outputs.setdefault(module, []).append(Output(type(output).__name__, shape, source.device, source.dtype))

    handles = [module.register_forward_hook(look) for module in model.modules()]
    forked = [example.device] if example.is_cuda else []
    try:
        with mode(model, training=False), torch.no_grad(), torch.random.fork_rng(devices=forked):
            model(example)
    except Exception as error:
        reason = " ".join(str(error).split())
        raise BadInput(f"the model fails on the example of shape {tuple(example.shape)}: {reason}") from error
    finally:
        for handle in handles:
            handle.remove()
    return outputs


def full_name(model: nn.Module, name: str) -> str:
    """The name of a module as the model spells it; in a normalised model the leading "network." may be missing.

    Raises
    ------
    BadInput
        If there is no such module, with the nearest names.
    """
    names = [known for known, _ in model.named_modules(remove_duplicate=False)]
    for candidate in (name, PREFIX + name):
        if candidate in names:
            return candidate
    short = [known.removeprefix(PREFIX) for known in names if known]
    if len(short) > MOST_NAMES:  # a sentence, not a screen
        short = get_close_matches(name, short, n=MOST_NAMES, cutoff=0.0)
    raise unknown_name("layer", name, short)


def spatial_output(model: nn.Module, name: str, example: Tensor) -> Output:
    """What the module called `name` returns for the example, if a filter can smooth it.

    Raises
    ------
    BadInput
        If it is never called, called more than once, or returns no maps [B, C, H, W] of more than one pixel.
    """
    outputs, target = outputs_of(model, example), model.get_submodule(name)
    calls = outputs.get(target, [])
    if not calls:
        raise BadInput(
            f"layer '{name}' is never called in the forward pass; choose one that is (a member of it, perhaps)"
        )
    if len(calls) > 1:
        raise BadInput(
            f"layer '{name}' is called {len(calls)} times in one forward pass, so it has no single output to smooth; "
            "give each call a module of its own"
        )
    output = calls[0]
    if output.pixels == 0:
        seen = f"has shape {output.shape}" if output.shape else f"is a {output.type}"
        earlier = takewhile(lambda module: module is not target, outputs)
        names = {module: known for known, module in model.named_modules()}
        before = [names[module] for module in earlier if outputs[module][0].pixels > 1]
        hint = f"the last layer before it with maps is '{before[-1]}'" if before else "choose an earlier layer"
        raise BadInput(
            f"layer '{name}' has no spatial output to smooth: what it returns {seen}, not [B, C, H, W]; {hint}"
        )
    if output.pixels == 1:
        raise BadInput(f"layer '{name}' returns maps of 1×1 pixels, too small for a filter; choose an earlier layer")
    return output
