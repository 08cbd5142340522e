"""What a run starts from: another run, or weights from elsewhere; and how it is built again once those are gone."""

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from safetensors import safe_open

from pellucid.errors import BadInput
from pellucid.files import read_yaml
from pellucid.models.hugging_face import PREPROCESSING
from pellucid.models.weights import MEAN, STD, carries_normalisation, weights_file
from pellucid.training.fit import WEIGHTS

RUN_CONFIG = "config.yaml"
ARCHITECTURE = "architecture.json"
"""In a run directory: the config of a Hugging Face network."""
INHERITED = ("data", "seed")
"""What a run started by ``--from RUN`` takes from it where its own config is silent: with the seed, the same images are
held out for validation."""


def started_from(raw: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """A config (plain values) whose model starts from the weights at `path`; for a run, on its data and seed.

    Raises
    ------
    BadInput
        If there are no weights.
    """
    weights_file(path)
    begun = deepcopy(dict(raw))
    model = begun.get("model") or {}
    begun["model"] = ({"name": model} if isinstance(model, str) else model) | {"weights": str(path)}
    if is_run(path):
        config = config_of(path)
        begun = {key: config[key] for key in INHERITED if key in config} | begun
    return begun


def with_architecture(raw: dict[str, Any]) -> dict[str, Any]:
    """The config with the model of the run that it starts from, where it names none, and that model's SmoothBlock."""
    model = raw.get("model")
    if not isinstance(model, dict) or model.get("name") or not model.get("weights"):
        return raw
    path = Path(model["weights"])
    if not is_run(path):
        raise BadInput(f"model.weights is {path}, which does not say of what architecture; add model.name")
    config = config_of(path)
    inherited = remembered(config["model"], path) | {"normalise": "auto"}
    smoothing = {} if "smoothing" in raw else {"smoothing": config.get("smoothing")}
    return raw | smoothing | {"model": inherited | model}


def remembered(model: Mapping[str, Any], run: Path) -> dict[str, Any]:
    """The model section of a run's config as it can be built from the run directory alone.

    Nothing is started from: the weights of the run replace all. Where the normalisation was that of the start, it is
    now that of the run, as numbers.
    """
    kept = {key: value for key, value in model.items() if key not in {"weights", "weights_sha256"}}
    kept |= {"pretrained": False} if "pretrained" in kept else {}
    kept |= {"normalise": _statistics(run / WEIGHTS)} if kept.get("normalise") == "model" else {}
    if (run / ARCHITECTURE).is_file():
        kept["architecture"] = str(run / ARCHITECTURE)
    return kept


def _statistics(weights: Path) -> Any:
    """Mean and standard deviation among a run's weights; "none" where it has only a checkpoint, which brings them."""
    if not carries_normalisation(weights):
        return "none"
    with safe_open(weights, framework="pt") as file:
        return {word: file.get_tensor(name).flatten().tolist() for word, name in (("mean", MEAN), ("std", STD))}


def is_run(path: Path) -> bool:
    """Whether a path is a run directory."""
    return (path / RUN_CONFIG).is_file()


def config_of(run: Path) -> dict[str, Any]:
    """The config of a run as plain values. Raises BadInput if it cannot be read."""
    raw = read_yaml(run / RUN_CONFIG)
    if not isinstance(raw, dict) or not isinstance(raw.get("model"), dict):
        raise BadInput(f"{run / RUN_CONFIG} is no config of a run")
    return raw


def normalises_itself(name: str, options: Mapping[str, Any], weights: Path | None) -> bool:
    """Whether a model's weights come with a normalisation: those of a run, and published ones.

    Weights given to an architecture of timm or torchvision are taken to want what its published ones want.
    """
    if weights is not None and carries_normalisation(weights):
        return True
    if name.replace("-", "_") == "hugging_face":
        place = Path(options["architecture"])
        return (place / PREPROCESSING).is_file() if place.exists() else bool(options["pretrained"])
    return name in {"timm", "torchvision"} and (weights is not None or bool(options["pretrained"]))
