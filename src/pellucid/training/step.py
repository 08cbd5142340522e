"""One optimiser step, and the order in which a run sees its images; both are functions of (seed, step) alone."""

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from pellucid.data.dataset import WAYS_TO_MAPS, Dataset
from pellucid.errors import BadInput, RunFailed
from pellucid.randomness import generator, seed_from
from pellucid.training.augment import augment
from pellucid.training.settings import TrainingSettings
from pellucid.types import Image, Labels, Loss

if TYPE_CHECKING:  # it imports torchmetrics where that is installed, and all that this imports: seconds
    from lightning_fabric import Fabric
    from lightning_fabric.wrappers import _FabricModule

Objective = Callable[..., Loss]
"""``objective(model, x, y, generator=…)`` with its hyperparameters bound. One with a parameter `attention` also gets
the attention maps of the images, [B, 1, H, W] in [0, 1]."""


class Batch(NamedTuple):
    """Images [B, C, H, W], labels [B], and attention maps [B, 1, H, W] where the objective takes them."""

    x: Image
    y: Labels
    attention: Tensor | None = None


class Batches:
    """The batches of a run: shuffled anew every epoch, the incomplete last one dropped, shared out over the ranks."""

    def __init__(self, train: Dataset, settings: TrainingSettings, seed: int, *, attention: bool = False) -> None:
        self.train, self.settings, self.seed, self.attention = train, settings, seed, attention
        self.size = min(settings.batch_size, len(train))
        self.per_epoch = len(train) // self.size
        self.steps = self.per_epoch * settings.epochs
        if settings.max_steps is not None:
            self.steps = min(self.steps, settings.max_steps)
        self._epoch, self._order = -1, torch.empty(0, dtype=torch.int64)

    def __call__(self, step: int, rank: int, world: int) -> Batch:
        """Rank `rank`'s share of the batch of step `step`, augmented; with `attention`, its maps move with it."""
        epoch, position = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            self._epoch = epoch
            self._order = torch.randperm(len(self.train), generator=generator(self.seed, "order", epoch))
        chosen = self._order[position * self.size : (position + 1) * self.size][rank::world]
        x, y = self.train.batch(chosen)
        options = self.settings.augmentation
        draws = generator(self.seed, "augmentation", step, rank)
        if not self.attention:
            return Batch(augment(x, draws, crop=options.crop, flip=options.flip), y)
        together = torch.cat([x, self.train.attention_batch(chosen)], 1)  # one draw for an image and its map
        moved = augment(together, draws, crop=options.crop, flip=options.flip)
        return Batch(moved[:, :-1].contiguous(), y, moved[:, -1:].contiguous())


def takes_attention(objective: Objective, train: Dataset) -> bool:
    """Whether the objective (that inside regularisers, if any) has a parameter `attention`, and `train` has the maps.

    Raises
    ------
    BadInput
        If the parameter has no default and `train` has no maps.
    """
    inner = getattr(objective, "objective", objective)
    parameter = inspect.signature(inner).parameters.get("attention")
    if parameter and train.attention is None and parameter.default is parameter.empty:
        name = getattr(getattr(inner, "func", inner), "__name__", type(inner).__name__)
        raise BadInput(f"objective '{name}' needs attention maps; data set '{train.name}' has none: {WAYS_TO_MAPS}")
    return parameter is not None and train.attention is not None


def optimise(
    fabric: "Fabric",
    model: "nn.Module | _FabricModule",
    optimizer: Optimizer,
    objective: Objective,
    batch: Batch,
    *,
    seed: int,
    step: int,
) -> tuple[float, dict[str, float]]:
    """One step of the optimiser on one batch.

    Returns
    -------
    The loss and its named parts, as numbers.

    Raises
    ------
    RunFailed
        If the loss or its gradient is not finite; the weights are then still those before the step.
    """
    # Dropout draws from the global generators; seeding them per step makes a resumed run equal an uninterrupted one.
    torch.manual_seed(seed_from(seed, "global", step, fabric.global_rank))
    dtype = next(model.parameters()).dtype
    x, y = batch.x.to(fabric.device, dtype), batch.y.to(fabric.device)
    maps = {} if batch.attention is None else {"attention": batch.attention.to(x)}
    draws = generator(seed, "objective", step, fabric.global_rank)
    with fabric.autocast():
        loss = objective(model, x, y, generator=draws, **maps)
    value = float(loss.total.detach())
    optimizer.zero_grad(set_to_none=True)
    fabric.backward(loss.total)
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    norm = float(torch.nn.utils.get_total_norm(gradients))
    # The norm is the same on every rank (gradients are averaged), so all ranks stop together.
    if not _finite(norm) or not _finite(value):
        what = f"loss is {value}" if not _finite(value) else f"gradient norm is {norm}"
        raise RunFailed(
            f"training stopped at step {step + 1}: the {what}. The last good checkpoint is kept; "
            "try a smaller learning rate or a smaller eps"
        )
    optimizer.step()
    return value, {name: float(part) for name, part in loss.parts.items()}


def _finite(value: float) -> bool:
    return float("-inf") < value < float("inf")


def to_device(batch: tuple[Tensor, Tensor], model: nn.Module) -> tuple[Tensor, Tensor]:
    """Images and labels on the device and in the precision of the model's weights."""
    weight = next(model.parameters())
    return batch[0].to(weight.device, weight.dtype), batch[1].to(weight.device)
