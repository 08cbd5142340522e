"""What a run will cost, from a few measured steps."""

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch import nn

from pellucid.data.dataset import Dataset
from pellucid.memory_format import fast_memory_format
from pellucid.regularisers.composition import regularised
from pellucid.training.fit import make_optimizer, peak_memory
from pellucid.training.freezing import freeze
from pellucid.training.progress import duration
from pellucid.training.regularisation import Regularised
from pellucid.training.settings import TrainingSettings
from pellucid.training.step import Batches, Objective, optimise, takes_attention
from pellucid.training.validate import clean_accuracy, robust_accuracy


@dataclass(frozen=True)
class Estimate:
    """Cost of a run, extrapolated."""

    steps: int
    seconds: float
    memory_mb: float
    passes_per_image: float

    def __str__(self) -> str:
        return (
            f"about {duration(self.seconds)} for {self.steps} steps ({self.passes_per_image:.3g} forward and backward "
            f"passes an image), about {self.memory_mb / 1024:.1f} GB of memory"
        )


def estimate(
    model: nn.Module,
    objective: Objective,
    train: Dataset,
    validation: Dataset,
    *,
    settings: TrainingSettings,
    seed: int,
) -> Estimate:
    """Measure one warm-up and up to two timed steps, with each regulariser and without, and a small validation.

    All on a copy of the model.

    Neither the model nor any random state of the run that follows is touched.
    """
    from lightning_fabric import Fabric  # noqa: PLC0415 (with what it imports, it takes seconds)

    on_gpu = settings.device != "cpu" and torch.cuda.is_available()
    fabric = Fabric(accelerator="cuda" if on_gpu else "cpu", devices=1, precision=settings.precision)
    trial = copy.deepcopy(model)
    freeze(trial, settings.freeze)
    optimizer = make_optimizer(trial, settings.optimizer)
    wrapped, _ = fabric.setup(trial, optimizer)
    batches = Batches(train, settings, seed, attention=takes_attention(objective, train))

    def step(tried: Objective) -> _Cost:
        forwarded, times = 0, list[float]()

        def count(_: nn.Module, inputs: tuple[torch.Tensor, ...], __: object) -> None:
            nonlocal forwarded
            forwarded += len(inputs[0])

        hook = trial.register_forward_hook(count)
        while len(times) < 3 and sum(times) < 10:
            forwarded, began = 0, time.perf_counter()
            optimise(fabric, wrapped, optimizer, tried, batches(0, 0, 1), seed=seed, step=0)
            times.append(time.perf_counter() - began)
        hook.remove()  # from the copy: it is validated, too
        return _Cost(min(times[1:] or times), forwarded / batches.size)

    with fast_memory_format(trial, train.batch([0])[0].to(fabric.device)):
        per_step, passes = _mean_step(objective, step)
    epochs = -(-batches.steps // batches.per_epoch)
    seconds = per_step * batches.steps + epochs * _validation_seconds(trial, validation, settings, seed)
    return Estimate(batches.steps, seconds, peak_memory(), passes)


class _Cost(NamedTuple):
    seconds: float
    passes: float


def _mean_step(objective: Objective, step: Callable[[Objective], _Cost]) -> _Cost:
    """The mean over the steps of a run: a regulariser costs something in every k-th one, whatever its weight is."""
    if not isinstance(objective, Regularised):
        return step(objective)
    bare = seconds, passes = step(regularised(objective.objective, {}))  # which says what an objective must return
    for term in objective.terms:
        if term.settings.weight or term.settings.target is not None:  # a closed loop raises the weight from 0, too
            found = step(regularised(objective.objective, {term.name: (1.0, term.function)}))
            seconds += max(0.0, found.seconds - bare.seconds) / term.settings.every
            passes += (found.passes - bare.passes) / term.settings.every
    return _Cost(seconds, passes)


def _validation_seconds(model: nn.Module, validation: Dataset, settings: TrainingSettings, seed: int) -> float:
    sample = validation.subset(torch.arange(min(64, len(validation))))
    seconds = _timed(partial(clean_accuracy, model, sample)) * len(validation) / len(sample)
    attack = settings.robust_validation
    if attack is not None:
        images = min(attack.images, len(validation))
        seconds += _timed(partial(robust_accuracy, model, sample, attack, seed=seed)) * images / len(sample)
    return seconds


def _timed(work: "partial[float]") -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
