"""Layers that do not learn."""

from collections.abc import Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase

from torch import nn

from pellucid.errors import BadInput
from pellucid.models.probe import PREFIX

STATISTICS = "running_mean"
"""The buffer that makes a layer one with statistics of its own (BatchNorm)."""


def freeze(model: nn.Module, patterns: Sequence[str]) -> None:
    """Stop parts of a model from learning: no gradients for their parameters, eval mode for their BatchNorm layers.

    Parameters
    ----------
    model
        Changed in place.
    patterns
        Names of modules or parameters ("layer1" has all below it, but not "layer10"), or globs over the names of
        parameters ("layer1.*.weight"; a star matches dots, too). In a normalised model the leading "network." may be
        missing.

    Raises
    ------
    BadInput
        If a pattern matches nothing (with near names), or nothing is left that learns.
    """
    if not patterns:
        return
    names = [name for name, _ in [*model.named_parameters(), *model.named_buffers()]]
    for pattern in patterns:
        if not any(_matches(name, pattern) for name in names):
            raise _unknown(model, pattern)
    for name, parameter in model.named_parameters():
        if any(_matches(name, pattern) for pattern in patterns):
            parameter.requires_grad_(False)
    for name, module in model.named_modules():
        own = f"{name}.{STATISTICS}".lstrip(".")
        if getattr(module, STATISTICS, None) is not None and any(_matches(own, pattern) for pattern in patterns):
            module.eval()
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise BadInput(f"freeze ({', '.join(patterns)}) leaves nothing that learns; leave the last layer out of it")


def _matches(name: str, pattern: str) -> bool:
    return any(
        one == pattern or one.startswith(f"{pattern}.") or fnmatchcase(one, pattern)
        for one in {name, name.removeprefix(PREFIX)}
    )


def _unknown(model: nn.Module, pattern: str) -> BadInput:
    names = [name.removeprefix(PREFIX) for name, _ in model.named_modules() if name]
    near = get_close_matches(pattern, names, n=3, cutoff=0.3)
    hint = f"; near names: {', '.join(near)}" if near else ""
    return BadInput(f"freeze: no parameter of the model matches '{pattern}'{hint}")
