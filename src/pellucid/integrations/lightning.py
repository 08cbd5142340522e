"""Lightning: a callback that logs explanation metrics, and a module whose training step is an objective."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from pellucid.errors import BadInput
from pellucid.integrations.extras import missing
from pellucid.integrations.metrics import ExplanationMetric, Gini, InputStability
from pellucid.randomness import generator
from pellucid.training.regularisation import Regularised
from pellucid.training.step import Objective
from pellucid.types import Image, Labels

try:
    from lightning.pytorch import Callback, LightningModule, Trainer
except ImportError as error:  # pragma: no cover
    raise missing("lightning", "integrations", error) from error

__all__ = ["ExplanationMetrics", "PellucidMixin"]


def first_two(batch: Any) -> tuple[Image, Labels]:
    """Images and labels of a batch that is a tuple or list of them (and more). Raises BadInput for another batch."""
    if not isinstance(batch, tuple | list) or len(batch) < 2:
        raise BadInput(f"a batch must begin with images and labels; got a {type(batch).__name__}. Say how to take them")
    return batch[0], batch[1]


class ExplanationMetrics(Callback):
    """Logs explanation metrics of the first validation images, as ``explanation/gini``, every few epochs.

    The LightningModule, called with images in [0, 1], must return logits. Works with the trainer's default
    ``inference_mode=True``. Each process measures its share of the images; the numbers logged are those of all.

    Parameters
    ----------
    metrics
        By the name they are logged under; Gini and InputStability of plain gradients if absent. Next to each,
        ``<name>_undefined`` is the share of images left out (misclassified, or without a defined value).
    images
        How many images of the first validation loader, over all processes.
    every
        Measure after every so many epochs.
    take
        Images and labels of a batch.
    """

    def __init__(
        self,
        metrics: Mapping[str, ExplanationMetric] | None = None,
        *,
        images: int = 64,
        every: int = 1,
        take: Callable[[Any], tuple[Image, Labels]] = first_two,
    ) -> None:
        if images < 1 or every < 1:
            raise BadInput(f"images and every must be at least 1; got {images} and {every}")
        chosen = {"gini": Gini(), "input_stability": InputStability()} if metrics is None else metrics
        self.metrics, self.images, self.every, self.take = dict(chosen), images, every, take
        self.seen = 0

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Begin anew."""
        self.seen = 0
        for metric in self.metrics.values():
            metric.to(pl_module.device).reset()

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,  # noqa: ARG002 (Lightning's signature)
        batch: Any,
        batch_idx: int,  # noqa: ARG002
        dataloader_idx: int = 0,
    ) -> None:
        """Measure as many images of the batch as are still wanted."""
        wanted = self._share(trainer.global_rank, trainer.world_size) - self.seen
        if not self._due(trainer) or dataloader_idx > 0 or wanted <= 0:
            return
        x, y = (part[:wanted] for part in self.take(batch))
        self.seen += len(x)
        for metric in self.metrics.values():
            metric.update(pl_module, x, y)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the means, which are synchronised here."""
        if not self._due(trainer):
            return
        for name, metric in self.metrics.items():
            pl_module.log(f"explanation/{name}", metric.compute())
            seen = metric.measured + metric.undefined
            pl_module.log(f"explanation/{name}_undefined", metric.undefined / max(seen, 1))

    def _due(self, trainer: Trainer) -> bool:
        """Whether this epoch is measured; ``trainer.validate`` always is."""
        fitting = trainer.state.fn == "fit"
        return not trainer.sanity_checking and (not fitting or (trainer.current_epoch + 1) % self.every == 0)

    def _share(self, rank: int, world: int) -> int:
        """How many of the first images this process has: samplers deal them out in turn."""
        return len(range(rank, self.images, world))


class PellucidMixin(LightningModule):
    """A LightningModule whose ``training_step`` is an objective of Pellucid; forward and optimisers are yours.

    Set ``self.objective`` in ``__init__``: any ``objective(model, x, y, generator=…) -> Loss`` with its hyperparameters
    bound, such as ``partial(adversarial, eps=0.1)``, or one with regularisers, made by
    :func:`pellucid.training.regularisation.regularise`, whose weights warm up over the run. Images are pixels in
    [0, 1]: normalise inside ``forward``. The total and its parts are logged as ``train/…``.
    """

    objective: Objective
    seed: int = 0

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:  # noqa: ARG002 (Lightning's signature)
        """The loss of one batch."""
        x, y = first_two(batch)
        draws = generator(self.seed, "objective", self.global_step, self.global_rank)
        loss = self._objective()(self, x, y, generator=draws)
        self.log_dict(
            {"train/loss": loss.total.detach()} | {f"train/{name}": part for name, part in loss.parts.items()}
        )
        return loss.total

    def _objective(self) -> Objective:
        """The objective with the weights of its regularisers as they are in this step."""
        if not callable(getattr(self, "objective", None)):
            raise BadInput("set self.objective in __init__, as in self.objective = partial(adversarial, eps=0.1)")
        if not isinstance(self.objective, Regularised):
            return self.objective
        if any(term.settings.target is not None for term in self.objective.terms):
            raise BadInput("a regulariser with a target is steered by pellucid train only; give it a weight instead")
        return self.objective.at(self.global_step, int(self.trainer.estimated_stepping_batches), {})
