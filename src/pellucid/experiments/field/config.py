"""The config of the 2-D study: checked before anything is computed, written back with every default filled in."""

from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from pellucid.data.points import CORRUPTIONS, POINT_SETS
from pellucid.errors import BadInput, unknown_name
from pellucid.experiments.config import read_values
from pellucid.experiments.field import methods
from pellucid.experiments.field.networks import ACTIVATIONS
from pellucid.experiments.field.training import Method
from pellucid.naming import find, first_problem, options_of
from pellucid.training.settings import Named

SUPPLIED = ("generators", "progress")


class NetworkConfig(BaseModel):
    """A multilayer perceptron 2-width-width-K."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    width: int = Field(64, ge=1)
    activation: str = "tanh"


class FieldTraining(BaseModel):
    """Full-batch Adam."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    steps: int = Field(400, ge=1)
    lr: float = Field(0.01, gt=0, le=1)


class MethodConfig(Named):
    """A function of :mod:`pellucid.experiments.field.methods` with its options.

    `rates`: the corrupted shares at which it is trained; None: all of the study.
    """

    rates: tuple[float, ...] | None = None


class FieldConfig(BaseModel):
    """Everything that decides the study. `tested` and `reference` are names in `methods`."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    sets: tuple[str, ...] = Field(tuple(POINT_SETS), min_length=1)
    corruptions: tuple[str, ...] = tuple(CORRUPTIONS)
    rates: tuple[float, ...] = (0.05, 0.1, 0.2)
    """Corrupted shares, besides 0."""
    seeds: int = Field(10, ge=1)
    train_points: int = Field(400, ge=20)
    test_points: int = Field(4000, ge=20)
    network: NetworkConfig = NetworkConfig()
    training: FieldTraining = FieldTraining()
    methods: dict[str, MethodConfig] = {
        name: MethodConfig(name=name) for name in ("cross_entropy", "misalignment", "gaussian_noise")
    }
    tested: str = "misalignment"
    reference: str = "cross_entropy"

    @field_validator("methods", mode="before")
    @classmethod
    def _named(cls, given: Any) -> Any:
        """A method without a name is called as its key is."""
        if not isinstance(given, dict):
            return given
        return {key: {"name": key} | one if isinstance(one, dict) else one for key, one in given.items()}

    @field_validator("rates")
    @classmethod
    def _shares(cls, rates: tuple[float, ...]) -> tuple[float, ...]:
        if any(not 0 < rate < 1 for rate in rates):
            raise ValueError("corrupted shares must lie between 0 and 1 (0 itself is always studied)")
        return tuple(sorted(set(rates)))

    @field_validator("sets", "corruptions")
    @classmethod
    def _once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(names))

    @model_validator(mode="after")
    def _compared(self) -> "FieldConfig":
        if self.tested == self.reference:
            raise ValueError("tested and reference must be two different methods")
        return self


def read_field_config(path: Path, overrides: list[str] | None = None) -> FieldConfig:
    """Read a YAML config, apply ``key.sub=value`` overrides, check and resolve it.

    Raises
    ------
    BadInput
        One sentence naming the file or key, and the nearest valid name where one is misspelt.
    """
    return check_field(read_values(path, overrides))


def check_field(raw: dict[str, Any]) -> FieldConfig:
    """Validate a config of plain values, and fill in the defaults, those of the methods included."""
    try:
        config = FieldConfig(**raw)
    except ValidationError as error:
        raise _readable(error) from error
    _check_names(config)
    return config.model_copy(update={"methods": {name: _filled(one) for name, one in config.methods.items()}})


def bound(config: MethodConfig) -> Method:
    """The method as a function with its options bound."""
    return partial(find(methods, config.name, "method"), **config.options)


def _check_names(config: FieldConfig) -> None:
    for kind, names, known in (
        ("point set", config.sets, POINT_SETS),
        ("corruption", config.corruptions, CORRUPTIONS),
        ("activation", (config.network.activation,), ACTIVATIONS),
        ("method", (config.tested, config.reference), config.methods),
    ):
        for name in names:
            if name not in known:
                raise unknown_name(kind, name, known)
    for name, method in config.methods.items():
        extra = sorted(set(method.rates or ()) - {0.0, *config.rates})
        if extra:
            raise BadInput(f"methods.{name}.rates holds {extra[0]}, which is none of the study's rates {config.rates}")
        if method.rates is not None and name in (config.tested, config.reference):
            raise BadInput(f"methods.{name} is compared at every corrupted share; leave its rates out")


def _filled(config: MethodConfig) -> MethodConfig:
    function = find(methods, config.name, "method")
    options = options_of(function, config.options, where=f"method '{config.name}'", supplied=SUPPLIED)
    return MethodConfig(name=config.name, rates=config.rates, **options)


_SECTIONS: dict[tuple[str, ...], type[BaseModel]] = {
    (): FieldConfig,
    ("network",): NetworkConfig,
    ("training",): FieldTraining,
}


def _readable(error: ValidationError) -> BadInput:
    for problem in error.errors(include_url=False):
        *parents, key = (str(part) for part in problem["loc"] or ("",))
        if problem["type"] == "extra_forbidden":  # a misspelt key first: often the reason why another one is missing
            return unknown_name(f"key in {'.'.join(parents) or 'the config'}", key, _SECTIONS[(*parents,)].model_fields)
    return BadInput(f"config: {first_problem(error)}".replace(": : ", ": ").replace("value error, ", ""))
