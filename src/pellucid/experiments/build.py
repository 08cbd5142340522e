"""Build what a config names: data splits, model, objective."""

from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from torch import Tensor, nn

from pellucid import data, objectives
from pellucid.data.dataset import Dataset, channel_statistics, split_validation
from pellucid.data.label_noise import flip_labels
from pellucid.errors import BadInput
from pellucid.experiments.config import SUPPLIED_TO_OBJECTIVES, DataConfig, RunConfig
from pellucid.files import file_hash
from pellucid.models.architectures import build_network
from pellucid.models.initialisation import initialised
from pellucid.models.normalised import Statistics, fitted, normalised, own_normalisation
from pellucid.models.opening import weights_of
from pellucid.models.smoothing import insert_smoothing
from pellucid.models.weights import (
    BLOCK,
    MEAN,
    STD,
    Start,
    load_start,
    weights_file,
    without_normalisation,
)
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
    """The model of the config with the weights it starts from: normalisation, network, SmoothBlock.

    Runs that differ only in objective or smoothing start from the same network weights, so they are paired by seed.
    """
    return start_model(config, train)[0]


def start_model(config: RunConfig, train: Dataset) -> tuple[nn.Module, dict[str, Any] | None]:
    """The model of :func:`build_model`, and for the manifest where its weights come from, None if they are random.

    Raises
    ------
    BadInput
        If the model or its weights cannot be had, or do not suit the data.
    """
    shape = {"channels": train.channels, "classes": len(train.classes), "image_size": train.image_size}
    build = partial(build_network, config.model.name, config.model.options, **shape)
    network = initialised(build, seed_from(config.seed, "model"))
    tensors = _start_weights(config)
    with_block = any(BLOCK in name for name in tensors)
    start = None
    if tensors and not with_block:
        start = load_start(network, without_normalisation(tensors), what=str(config.model.weights))
    model: nn.Module = normalised(network, *_normalisation(config, train, network, tensors))
    if config.smoothing is not None:
        model = _smoothed(config, model, network, train)
    if with_block:
        own = {name: tensor for name, tensor in model.state_dict().items() if name in {MEAN, STD}}
        start = load_start(model, tensors | own, what=str(config.model.weights))
    return model, _origin(config, network, start)


def _start_weights(config: RunConfig) -> dict[str, Tensor]:
    """The tensors that the model starts from, none if it starts at random."""
    if config.model.weights is None:
        return {}
    path = weights_file(config.model.weights)
    if config.model.weights_sha256 not in {None, file_hash(path)}:
        raise BadInput(f"{path} is not the file that the config describes (SHA-256 differs); remove weights_sha256")
    return weights_of(path)


def _origin(config: RunConfig, network: nn.Module, start: Start | None) -> dict[str, Any] | None:
    if start is not None:
        where = {"path": str(config.model.weights), "sha256": config.model.weights_sha256}
        return where | {"head": start.head, "first_layer": start.first_layer}
    if config.model.options.get("pretrained"):
        head = "new" if getattr(network, "head_is_new", True) else "kept"
        return {"path": f"{config.model.label} (published weights)", "sha256": None, "head": head}
    return None


def _smoothed(config: RunConfig, model: nn.Module, network: nn.Module, train: Dataset) -> nn.Module:
    assert config.smoothing is not None
    after = config.smoothing.after or getattr(network, "smooth_after", None)
    if after is None:
        raise BadInput(
            f"no module of {config.model.label} has maps that a filter could smooth; name one in smoothing.after"
        )
    example, _ = train.batch([0])
    return insert_smoothing(
        model,
        after=str(after),
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


def _normalisation(config: RunConfig, train: Dataset, network: nn.Module, tensors: dict[str, Tensor]) -> Statistics:
    choice = config.model.normalise
    if isinstance(choice, dict):
        return choice["mean"], choice["std"]
    if choice == "none":
        return (0.0,) * train.channels, (1.0,) * train.channels
    if choice != "model":
        return channel_statistics(train)
    if MEAN in tensors and STD in tensors:
        return fitted((tensors[MEAN].flatten().tolist(), tensors[STD].flatten().tolist()), train.channels)
    return fitted(own_normalisation(network), train.channels)
