"""Running foreign code so that it leaves no trace: neither on a model's modules nor on the global generators."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn


@contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Give every module its attributes and hooks back, whether the code inside succeeds or fails.

    Dictionaries are restored in place, because the handles of the user's own hooks refer to them. The values of
    parameters and buffers are not copied.
    """
    dictionaries = [
        dictionary
        for module in model.modules()
        for dictionary in (vars(module), *(value for value in vars(module).values() if isinstance(value, dict)))
    ]
    before = [dict(dictionary) for dictionary in dictionaries]
    try:
        yield
    finally:
        for dictionary, content in zip(dictionaries, before, strict=True):
            dictionary.clear()
            dictionary.update(content)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the global generators of torch and numpy for code that knows no others, and restore them afterwards."""
    state = np.random.get_state()  # noqa: NPY002  (the legacy generator is the one meant)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        try:
            yield
        finally:
            np.random.set_state(state)  # noqa: NPY002
