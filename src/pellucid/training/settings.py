"""What a training run is told besides its model, data and objective."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Named(BaseModel):
    """A name and its options, as in ``{name: adam, lr: 0.001}``; a bare string is a name without options."""

    model_config = ConfigDict(extra="allow", frozen=True)
    name: str

    @model_validator(mode="before")
    @classmethod
    def _from_string(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @property
    def options(self) -> dict[str, Any]:
        """Everything but the name."""
        return dict(self.model_extra or {})


class RegulariserSettings(Named):
    """A regulariser by name with its options, and the weight λ of its mean in the loss.

    The weight grows linearly from 0 over the first `warm_up` (share) of the steps. With `every` k the term is computed
    in every k-th step only, with k times its weight: the same in the mean, at a k-th of its cost. With a `target` the
    loop is closed: every few steps λ moves by `rate` per step times the excess of the term, on validation images, over
    the target, and stays in [0, max_weight] (definitions §3).
    """

    weight: float = Field(1.0, ge=0, allow_inf_nan=False)
    warm_up: float = Field(0.2, ge=0, le=1)
    every: int = Field(1, ge=1)
    target: float | None = Field(None, ge=0, allow_inf_nan=False)
    rate: float = Field(0.05, gt=0, allow_inf_nan=False)
    max_weight: float = Field(10.0, ge=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _starts_inside_its_range(self) -> "RegulariserSettings":
        if self.target is not None and self.weight > self.max_weight:
            raise ValueError(
                f"a weight of {self.weight} that a target steers starts above max_weight {self.max_weight}; "
                "raise max_weight or lower weight"
            )
        return self


class Augmentation(BaseModel):
    """Random crops after padding by `crop` pixels, and left-right flips."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    crop: int = Field(0, ge=0)
    flip: bool = False


class RobustValidation(BaseModel):
    """The PGD that measures robust accuracy on the first `images` validation images after every epoch."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    eps: float = Field(ge=0)
    norm: Literal["linf", "l2"] = "linf"
    steps: int = Field(10, ge=1)
    images: int = Field(256, ge=1)


class TrainingSettings(BaseModel):
    """Budget, optimiser, schedule, hardware and checkpointing of one run."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    epochs: int = Field(15, ge=1)
    batch_size: int = Field(128, ge=1)
    optimizer: Named = Named(name="adam")
    schedule: Named = Named(name="one_cycle")
    augmentation: Augmentation = Augmentation()
    robust_validation: RobustValidation | None = None
    choose: Literal["auto", "clean", "robust", "last", "trade_off"] = "auto"
    """The validation accuracy that picks the kept weights (never the test set); "last" keeps the last epoch.
    "trade_off" keeps those with the most readable maps among all epochs, the start included, whose clean accuracy is
    at most `max_accuracy_drop` points below the start's. "auto": "trade_off" with `max_accuracy_drop`, robust accuracy
    where the objective attacks, else clean accuracy."""
    max_accuracy_drop: float | None = Field(None, ge=0, le=100)
    """In points (2: from 85 % to 83 % at the least); for the choice "trade_off"."""
    freeze: tuple[str, ...] = ()
    """Modules that do not learn, by name or glob: see :func:`pellucid.training.freezing.freeze`."""
    ema: float | None = Field(None, gt=0, lt=1)
    """Decay of the moving average of the weights that is validated and kept instead of the weights themselves: see
    :class:`pellucid.training.average.Average`."""
    eps_warm_up: float = Field(0.0, ge=0, le=1)
    """Share of the steps over which the objective's eps, and its step_size where given, grow linearly from 0."""
    snapshots: int = Field(0, ge=0)
    """Evenly spaced epochs whose weights are kept, too, each as a run directory under ``snapshots``: reports compare
    arms there at equal cost and at equal accuracy."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["32-true", "bf16-mixed", "64-true"] = "32-true"
    max_steps: int | None = Field(None, ge=1)
    """Stop after so many optimiser steps, whatever `epochs` says."""
    checkpoint_seconds: float = Field(30, gt=0)

    @model_validator(mode="after")
    def _robust_choice_is_measured(self) -> "TrainingSettings":
        if self.choose == "robust" and self.robust_validation is None:
            raise ValueError("choose 'robust' needs robust_validation (an eps at least)")
        return self

    @model_validator(mode="after")
    def _trade_off_is_bounded(self) -> "TrainingSettings":
        if self.choose == "trade_off" and self.max_accuracy_drop is None:
            raise ValueError("choose 'trade_off' needs max_accuracy_drop, in points of accuracy, such as 2")
        if self.max_accuracy_drop is not None and self.choose not in {"auto", "trade_off"}:
            raise ValueError(
                f"max_accuracy_drop bounds the choice 'trade_off', not '{self.choose}'; remove one of them"
            )
        return self
