"""A check may do what it likes to the model; afterwards everything is as before."""

import copy
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pellucid.randomness import seed_from

HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def working_copy(model: nn.Module) -> nn.Module:
    """A deep copy, so that not even a module's own attributes change; the model itself where it cannot be copied."""
    try:
        return copy.deepcopy(model)
    except Exception:
        return model


@dataclass(frozen=True)
class _Kept:
    """One parameter, buffer or gradient as it was."""

    tensor: Tensor
    values: Tensor
    requires_grad: bool
    grad: "_Kept | None"

    @classmethod
    def of(cls, tensor: Tensor) -> "_Kept":
        grad = tensor.grad if tensor.is_leaf else None  # torch warns of asking others
        return cls(tensor, tensor.detach().clone(), tensor.requires_grad, None if grad is None else cls.of(grad))

    def restore(self) -> None:
        if self.tensor.is_leaf:
            self.tensor.grad = None
        same_kind = self.tensor.dtype == self.values.dtype and self.tensor.shape == self.values.shape
        if not (same_kind and (self.tensor.is_meta or torch.equal(self.tensor, self.values))):
            self.tensor.data = self.values.clone()
        if self.tensor.is_leaf:
            self.tensor.requires_grad_(self.requires_grad)
        if self.grad is not None:
            self.grad.restore()
            self.tensor.grad = self.grad.tensor


class Snapshot:
    """Parameters, buffers, gradients, modes, children and hooks of a model, to be put back any number of times."""

    def __init__(self, model: nn.Module) -> None:
        tensors = {id(t): t for m in model.modules() for t in _tensors(m)}
        self._tensors = [_Kept.of(tensor) for tensor in tensors.values()]
        self._modules = [(module, module.training, _members(module)) for module in model.modules()]

    def restore(self) -> None:
        """Put back what differs."""
        for module, training, members in self._modules:
            module.training = training
            for name, before in members.items():
                now = getattr(module, name)
                if not _identical(now, before):
                    now.clear()
                    now.update(before)
        for kept in self._tensors:
            kept.restore()


def _tensors(module: nn.Module) -> Iterator[Tensor]:
    yield from (t for t in (*module._parameters.values(), *module._buffers.values()) if t is not None)


def _members(module: nn.Module) -> dict[str, list[tuple[Any, Any]]]:
    names = ("_parameters", "_buffers", "_modules", *HOOKS)
    return {name: list(getattr(module, name).items()) for name in names}


def _identical(now: Any, before: list[tuple[Any, Any]]) -> bool:
    return len(now) == len(before) and all(
        a == b and x is y for (a, x), (b, y) in zip(now.items(), before, strict=True)
    )


@contextmanager
def seeded(*parts: int | str) -> Iterator[None]:
    """Fix the global random states of torch, numpy and Python inside, and put them back."""
    states = random.getstate(), np.random.get_state()  # noqa: NPY002 (a stranger's model may draw from it)
    seed = seed_from(*parts)
    try:
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            torch.manual_seed(seed)
            random.seed(seed)
            np.random.seed(seed % 2**32)  # noqa: NPY002
            yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002


@contextmanager
def untouched(snapshot: Snapshot, *parts: int | str) -> Iterator[None]:
    """Whatever happens inside to the model and to the random states is undone."""
    try:
        with seeded(*parts):
            yield
    finally:
        snapshot.restore()
