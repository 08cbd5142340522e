"""Learning-rate schedules: the factor on the base rate as a pure function of progress, so nothing needs resuming."""

import math
from collections.abc import Sequence

from pellucid.naming import Positive

__all__ = ["constant", "cosine", "one_cycle", "step"]


def constant(progress: float) -> float:  # noqa: ARG001 (one signature)
    """Factor 1 throughout."""
    return 1.0


def cosine(progress: float, *, warmup: float = 0.0) -> float:
    """Linear from 0 to 1 over the first `warmup` share of training, then half a cosine down to 0.

    Parameters
    ----------
    progress
        Share of all steps already taken, in [0, 1).
    """
    if progress < warmup:
        return progress / warmup
    return 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))


def step(progress: float, *, milestones: Sequence[float] = (4 / 7, 5 / 7), gamma: Positive = 0.1) -> float:
    """Multiply by `gamma` at every milestone, given as a share of training (T3S CIFAR-10: 40k and 50k of 70k)."""
    return float(gamma ** sum(progress >= milestone for milestone in milestones))


def one_cycle(progress: float, *, peak: float = 0.3, start: float = 0.04, end: float = 1e-4) -> float:
    """Half a cosine up from `start` to 1 at `peak`, then half a cosine down to `end` (Smith and Topin 2018)."""
    if progress < peak:
        return _between(start, 1.0, progress / peak)
    return _between(1.0, end, (progress - peak) / (1 - peak))


def _between(first: float, last: float, share: float) -> float:
    return last + (first - last) * 0.5 * (1 + math.cos(math.pi * share))
