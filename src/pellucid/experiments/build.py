"""Build what a config names: data splits, model, objective."""

from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from torch import Tensor, nn

from pellucid import data, models, objectives
from pellucid.data.dataset import Dataset, channel_statistics, split_validation
from pellucid.data.label_noise import flip_labels
from pellucid.errors import BadInput
from pellucid.experiments.config import SUPPLIED_TO_MODELS, SUPPLIED_TO_OBJECTIVES, DataConfig, RunConfig
from pellucid.models.initialisation import initialised
from pellucid.models.normalised import normalised
from pellucid.models.smoothing import insert_smoothing
from pellucid.naming import find, options_of
from pellucid.randomness import seed_from
from pellucid.training.regularisation import Regularised, regularise

RESIDUAL = ("wide_resnet", "resnet18")
"""Networks whose published code initialises every convolution, the SmoothBlock's included, with kaiming (§1.1)."""


@dataclass(frozen=True)
class Splits:
    """The three disjoint parts of a data set; validation is cut from the training images.

    `flipped`, bool [N], says which training images have a wrong label on purpose (``data.label_noise``).
    """

    train: Dataset
    validation: Dataset
    test: Dataset
    flipped: Tensor


def load_split(config: DataConfig, split: str) -> Dataset:
    """One split as the data set ships it, with its true labels: "train" (validation images included) or "test"."""
    return _loaded(config.model_dump_json(), split)


@lru_cache(maxsize=2)  # several runs of one process share a data set; decoding one can take seconds
def _loaded(config_json: str, split: str) -> Dataset:
    config = DataConfig.model_validate_json(config_json)
    loader = find(data, config.name, "data set")
    options = options_of(loader, config.options, where=f"data set '{config.name}'")
    dataset: Dataset = loader(config.root, split, **options)
    return dataset


def load_splits(config: RunConfig) -> Splits:
    """Training, validation and test images; the validation split depends on the run's seed.

    Raises
    ------
    BadInput
        If the images are all of one class: there is nothing to tell apart.
    """
    whole = load_split(config.data, "train")
    if len(whole.classes) < 2:
        raise BadInput(f"{whole} has {len(whole.classes)} class ({', '.join(whole.classes)}); a classifier needs two")
    train, validation = split_validation(whole, config.data.validation, seed=config.seed)
    train, flipped = flip_labels(train, config.data.label_noise, seed=config.seed)
    return Splits(train, validation, load_split(config.data, "test"), flipped)


def build_model(config: RunConfig, train: Dataset) -> nn.Module:
    """The model of the config with its initial weights: normalisation, network, SmoothBlock.

    Runs that differ only in objective or smoothing start from the same network weights, so they are paired by seed.
    """
    builder = find(models, config.model.name, "model")
    where = f"model '{config.model.name}'"
    options = options_of(builder, config.model.options, where=where, supplied=SUPPLIED_TO_MODELS)
    shape = {"channels": train.channels, "classes": len(train.classes), "image_size": train.image_size}
    network = initialised(partial(builder, **shape, **options), seed_from(config.seed, "model"))
    mean, std = _normalisation(config, train)
    model: nn.Module = normalised(network, mean, std)
    if config.smoothing is None:
        return model
    example, _ = train.batch([0])
    return insert_smoothing(
        model,
        after=config.smoothing.after or network.smooth_after,
        filter=config.smoothing.filter,
        example=example,
        sigma=config.smoothing.sigma,
        swapped_sigma=config.smoothing.swapped_sigma,
        initialisation=_initialisation(config),
        seed=seed_from(config.seed, "smoothing"),
    )


def build_objective(config: RunConfig) -> Regularised:
    """The objective of the config with its hyperparameters bound, and its regularisers."""
    function = find(objectives, config.objective.name, "objective")
    where = f"objective '{config.objective.name}'"
    options = options_of(function, config.objective.options, where=where, supplied=SUPPLIED_TO_OBJECTIVES)
    return regularise(partial(function, **options), config.regularisers)


def _initialisation(config: RunConfig) -> Any:
    assert config.smoothing is not None
    published = "kaiming" if config.model.name.replace("-", "_") in RESIDUAL else "default"
    return config.smoothing.initialisation or published


def _normalisation(config: RunConfig, train: Dataset) -> tuple[tuple[float, ...], tuple[float, ...]]:
    choice = config.model.normalise
    if choice == "data":
        return channel_statistics(train)
    if choice == "none":
        return (0.0,) * train.channels, (1.0,) * train.channels
    return choice["mean"], choice["std"]
