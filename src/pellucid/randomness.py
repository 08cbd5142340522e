"""Counter-based randomness: every draw is a function of names and numbers, never of global state.

A draw for an image depends on the seed, the name of the stream and the image's own index, so batch size, batch mates,
device and worker count cannot change it, and a resumed run needs no saved generator state.
"""

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor


def seed_from(*parts: int | str) -> int:
    """A seed in [0, 2⁶³) that depends on all `parts` and on nothing else (the same on every machine)."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def generator(*parts: int | str) -> torch.Generator:
    """A CPU generator seeded with :func:`seed_from`."""
    return torch.Generator().manual_seed(seed_from(*parts))


def normal_per_image(ids: Sequence[int], shape: Sequence[int], *, seed: int, stream: str) -> Tensor:
    """Standard normal noise [len(ids), *shape], float32, CPU; row i depends on `seed`, `stream` and `ids[i]` only."""
    return torch.stack([torch.randn(*shape, generator=generator(seed, stream, int(i))) for i in ids])


def uniform_per_image(ids: Sequence[int], shape: Sequence[int], *, seed: int, stream: str) -> Tensor:
    """Uniform noise on [0, 1), [len(ids), *shape], float32 on the CPU; row i as in :func:`normal_per_image`."""
    return torch.stack([torch.rand(*shape, generator=generator(seed, stream, int(i))) for i in ids])
