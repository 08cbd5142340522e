"""The config of one run: checked before anything is computed, written back with every default filled in."""

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pellucid import data, filters, objectives, regularisers
from pellucid.errors import BadInput, unknown_name
from pellucid.experiments.start import normalises_itself, with_architecture
from pellucid.files import file_hash, read_yaml
from pellucid.models.architectures import label, model_options, spelled_out
from pellucid.models.weights import weights_file
from pellucid.naming import find, first_problem, options_of
from pellucid.training import optimizers, schedules
from pellucid.training.settings import Named, RegulariserSettings, RobustValidation, TrainingSettings

ATTACKING = ("adversarial", "fast_adversarial", "trades")
"""Objectives that train against a ball whose eps is meant for evaluation, too."""

SUPPLIED_TO_OBJECTIVES = ("generator", "attention")


class DataConfig(Named):
    """A data set by name, where to look for it, and how many training images are held out for validation.

    `label_noise` is the share of the training images that get another label, drawn by the run's seed; validation and
    test images keep the truth.
    """

    name: str = "fashion-mnist-mini"
    root: Path | None = None
    validation: int | float = Field(0.1, gt=0)
    label_noise: float = Field(0.0, ge=0, le=1)


class ModelConfig(Named):
    """An architecture by name with its options, the weights it starts from, and its first layer, the normalisation.

    ``timm:resnet18`` is short for ``{name: timm, architecture: resnet18}``; so are ``torchvision:…`` and ``hf:…``.
    `normalise` is "data" (mean and standard deviation of the training images), "none", numbers per channel, or "model":
    what the starting weights were trained with. "auto" is "model" where published weights are asked for (`pretrained`),
    where `weights` are those of a run, or are given to an architecture of timm or torchvision, and for a Hugging Face
    folder with its preprocessor's config; else it is "data".

    `weights` is a file or a run directory; a run directory says the architecture, too, where `name` does not.
    `weights_sha256` is their hash, noted when the config is first read.
    """

    name: str = "lenet"
    normalise: Literal["auto", "data", "none", "model"] | dict[Literal["mean", "std"], tuple[float, ...]] = "auto"
    weights: Path | None = None
    weights_sha256: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _spelled_out(cls, value: Any) -> Any:
        value = {"name": value} if isinstance(value, str) else value
        if isinstance(value, dict) and isinstance(value.get("name"), str):
            return value | spelled_out(value["name"])
        return value

    @property
    def label(self) -> str:
        """The architecture in one word, as in ``timm:resnet18``."""
        return label(self.name, self.options)


class SmoothingConfig(BaseModel):
    """A SmoothBlock: which filter, after which module (None: the architecture's usual place), which sigma."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    filter: str = "gaussian"
    after: str | None = None
    sigma: Literal["feature", "kernel", "input"] | float = "feature"
    swapped_sigma: bool = False
    initialisation: Literal["default", "kaiming"] | None = None
    """None: as the published code, kaiming for residual networks and PyTorch's default for the others."""


class RunConfig(BaseModel):
    """Everything that decides a run, and what it is called.

    Runs of one `arm` differ in nothing but their seed; reports compare the arms of one `group`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    arm: str | None = None
    group: str | None = None
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    smoothing: SmoothingConfig | None = None
    objective: Named = Named(name="natural")
    regularisers: tuple[RegulariserSettings, ...] = ()
    training: TrainingSettings = TrainingSettings()
    seed: int = Field(0, ge=0)


def read_config(path: Path, overrides: list[str] | None = None) -> RunConfig:
    """Read a YAML config, apply ``key.sub=value`` overrides (values are YAML), check and resolve it.

    Raises
    ------
    BadInput
        One sentence naming the file or key, and the nearest valid key where one is misspelt.
    """
    return check(read_values(path, overrides))


def read_values(path: Path, overrides: list[str] | None = None) -> dict[str, Any]:
    """The keys and values of a YAML file, with ``key.sub=value`` overrides applied. Raises BadInput with the path."""
    raw = read_yaml(path)
    if raw is None:
        raw = {}
    if not isinstance(raw, dict):
        raise BadInput(f"{path} must hold keys and values; it holds a {type(raw).__name__}")
    for override in overrides or []:
        override_key(raw, override)
    return raw


def check(raw: dict[str, Any]) -> RunConfig:
    """Validate a config given as plain values and fill in every default, those of the named functions included."""
    try:
        config = RunConfig(**with_architecture(raw))
    except ValidationError as error:
        raise _readable(error) from error
    return _resolved(config)


def override_key(raw: dict[str, Any], override: str) -> None:
    """Set one dotted key in place: ``training.epochs=3``, or in a list: ``regularisers.0.weight=5``."""
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise BadInput(f"'{override}' is not an override; write key=value, as in training.epochs=3")
    *parents, last = key.split(".")
    place: Any = raw
    for position, parent in enumerate(parents):
        here = _position(place, parent, ".".join(parents[:position]))
        below = place[here] if isinstance(place, list) else place.get(here)
        if isinstance(below, str):  # shorthand: objective: natural
            below = {"name": below}
        place[here] = place = below if isinstance(below, dict | list) else {}
    try:
        place[_position(place, last, ".".join(parents))] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BadInput(f"the value in '{override}' is not valid YAML") from error


def _position(place: Any, key: str, where: str) -> Any:
    """The key itself, or its number where the config holds a list."""
    if not isinstance(place, list):
        return key
    if not key.isdecimal() or int(key) >= len(place):
        raise BadInput(f"'{where}' is a list of {len(place)}; '{key}' is not one of its positions, counted from 0")
    return int(key)


NAMES = ("arm", "group")
"""What a run is called; it decides none of its numbers."""


def nameless(config: RunConfig) -> RunConfig:
    """The config without what the run is called."""
    return config.model_copy(update=dict.fromkeys(NAMES))


def plain(config: RunConfig) -> dict[str, Any]:
    """The config as plain values for YAML and JSON."""
    return config.model_dump(mode="json")


def _resolved(config: RunConfig) -> RunConfig:
    find(filters, config.smoothing.filter, "filter") if config.smoothing else None
    if (name := config.objective.name.replace("-", "_")) in regularisers.__all__:
        raise BadInput(
            f"'{name}' is a regulariser, to be added to an objective: write objective: natural (or another) and "
            f"regularisers: [{{name: {name}}}]"
        )
    objective = _filled(config.objective, objectives, "objective", SUPPLIED_TO_OBJECTIVES)
    return config.model_copy(
        update={
            "data": _filled(config.data, data, "data set"),
            "model": _resolved_model(config.model),
            "objective": objective,
            "regularisers": _resolved_regularisers(config.regularisers),
            "training": _resolved_training(config.training, objective),
        }
    )


def _resolved_model(spec: ModelConfig) -> ModelConfig:
    options, weights = spec.options, spec.weights
    folder = Path(str(options.get("architecture") or "nowhere"))
    if spec.name.replace("-", "_") == "hugging_face" and folder.exists():
        options["architecture"] = str(folder.absolute())
        if weights is None and "pretrained" not in options and (folder / "model.safetensors").is_file():
            weights = folder  # what lies beside a config is meant with it
    options = model_options(spec.name, options)
    weights = None if weights is None else weights.absolute()  # cells of a grid may run elsewhere
    known = spec.weights_sha256 if weights is not None else None
    normalise = spec.normalise
    if normalise == "auto":
        normalise = "model" if normalises_itself(spec.name, options, weights) else "data"
    return ModelConfig(
        name=spec.name,
        normalise=normalise,
        weights=weights,
        weights_sha256=known if weights is None or known else file_hash(weights_file(weights)),
        **{key: _jsonable(value) for key, value in options.items()},
    )


def _resolved_regularisers(specs: tuple[RegulariserSettings, ...]) -> tuple[RegulariserSettings, ...]:
    names = [spec.name.replace("-", "_") for spec in specs]
    for name in names:
        if names.count(name) > 1:
            raise BadInput(f"regulariser '{name}' is listed {names.count(name)} times; list it once, with one weight")
    return tuple(_filled(spec, regularisers, "regulariser", {"generator"}) for spec in specs)


def _resolved_training(settings: TrainingSettings, objective: Named) -> TrainingSettings:
    options = objective.options
    if settings.eps_warm_up and "eps" not in options:
        raise BadInput(f"eps_warm_up lets an objective's eps grow; objective '{objective.name}' has none, leave it out")
    attack, choose = settings.robust_validation, settings.choose
    trained_against = objective.name.replace("-", "_") in ATTACKING
    if attack is None and trained_against:
        attack = RobustValidation(eps=options["eps"], norm=options.get("norm", "linf"))
    if choose == "auto" and settings.max_accuracy_drop is not None:
        choose = "trade_off"
    elif choose == "auto":
        choose = "robust" if trained_against else "clean"
    return settings.model_copy(
        update={
            "optimizer": _filled(settings.optimizer, optimizers, "optimizer"),
            "schedule": _filled(settings.schedule, schedules, "schedule"),
            "robust_validation": attack,
            "choose": choose,
        }
    )


def _filled(spec: Any, module: Any, kind: str, supplied: Any = ()) -> Any:
    """The same named spec with all options of its function checked and filled in."""
    function = find(module, spec.name, kind)
    options = options_of(function, spec.options, where=f"{kind} '{spec.name}'", supplied=supplied)
    own = {name: getattr(spec, name) for name in type(spec).model_fields}
    return type(spec)(**own, **{key: _jsonable(value) for key, value in options.items()})


def _jsonable(value: Any) -> Any:
    if hasattr(value, "__dataclass_fields__"):
        return {name: _jsonable(getattr(value, name)) for name in value.__dataclass_fields__}
    return list(value) if isinstance(value, tuple) else value


def _readable(error: ValidationError) -> BadInput:
    misspelt = [problem for problem in error.errors(include_url=False) if problem["type"] == "extra_forbidden"]
    if misspelt:  # a misspelt key first: it is often the reason why another one is missing
        *parents, key = (str(part) for part in misspelt[0]["loc"])
        return unknown_name(f"key in {'.'.join(parents) or 'the config'}", key, _keys_at(parents))
    return BadInput(f"config: {first_problem(error)}")


def _keys_at(parents: list[str]) -> list[str]:
    model: Any = RunConfig
    for parent in parents:
        annotation = model.model_fields[parent].annotation
        candidates = [annotation, *getattr(annotation, "__args__", ())]
        model = next(c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel))
    return list(model.model_fields)
