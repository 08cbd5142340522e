"""From the words of the command line to a case: a run, a config or a model spec; a data set's name or a folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from pellucid import data
from pellucid.data.dataset import Dataset
from pellucid.doctor.case import Case
from pellucid.doctor.engine import case_of
from pellucid.errors import BadInput
from pellucid.experiments.build import build_model, load_split
from pellucid.experiments.config import DataConfig, RunConfig, read_config
from pellucid.experiments.manifest import MANIFEST
from pellucid.experiments.train import load_run
from pellucid.models.opening import open_model

CONFIGS = (".yaml", ".yml")
LINF = ("adversarial", "fast_adversarial", "trades", "l1", "gaze")
"""Objectives whose eps is the radius of a ball in pixel units, L∞ unless they say otherwise."""


@dataclass(frozen=True)
class Wanted:
    """What the user asked for: MODEL, DATA and the options of ``pellucid doctor``."""

    model: str
    data: str | None = None
    weights: Path | None = None
    image_size: int | None = None
    data_root: Path | None = None
    eps: float | None = None
    seed: int = 0


def open_case(wanted: Wanted) -> Case:
    """Load model and data. Raises BadInput if one of them cannot be had, or is missing."""
    path = Path(wanted.model)
    if (path / MANIFEST).is_file():
        return _of_run(path, wanted)
    if path.suffix in CONFIGS:
        return _of_config(read_config(path), wanted)
    if path.is_dir() and ":" not in wanted.model and not (path / "config.json").is_file():
        raise BadInput(
            f"{path} is a folder, but not a run directory (no {MANIFEST}); make one with pellucid train --out"
        )
    return _of_spec(wanted)


def _of_run(path: Path, wanted: Wanted) -> Case:
    _refuse_weights(wanted, "a run")
    config, _, model, _ = load_run(path)
    return _case(model, config, wanted, *_splits(wanted, config.data))


def _of_config(config: RunConfig, wanted: Wanted) -> Case:
    _refuse_weights(wanted, "a config")
    train, test = _splits(wanted, config.data)
    try:
        model = build_model(config, train)
    except BadInput:
        if config.smoothing is None:
            raise
        model = build_model(config.model_copy(update={"smoothing": None}), train)  # smoothing_layer says what is wrong
    return _case(model.eval(), config, wanted, train, test)


def _of_spec(wanted: Wanted) -> Case:
    if wanted.data is None:
        raise BadInput(f"which data shall '{wanted.model}' be examined on? Name a data set or a folder after it")
    train, test = _splits(wanted, None)
    model = open_model(
        wanted.model,
        channels=train.channels,
        classes=len(train.classes),
        image_size=train.image_size,
        weights=wanted.weights,
    )
    return _case(model, None, wanted, train, test)


def _case(model: nn.Module, config: RunConfig | None, wanted: Wanted, train: Dataset, test: Dataset) -> Case:
    eps, norm = (wanted.eps, "linf") if wanted.eps is not None else _radius(config)
    return case_of(model, train, test, eps=eps, norm=norm, config=config, seed=wanted.seed)


def _refuse_weights(wanted: Wanted, kind: str) -> None:
    if wanted.weights is not None:
        raise BadInput(f"--weights belongs to a model by name; {wanted.model} is {kind}, which has its own")


def _radius(config: RunConfig | None) -> tuple[float | None, str]:
    """The radius that a config trains or validates against, and its norm."""
    if config is None:
        return None, "linf"
    options = config.objective.options
    if config.objective.name.replace("-", "_") in LINF and "eps" in options:
        return float(options["eps"]), str(options.get("norm", "linf"))
    attack = config.training.robust_validation
    return (attack.eps, attack.norm) if attack is not None else (None, "linf")


def _splits(wanted: Wanted, own: DataConfig | None) -> tuple[Dataset, Dataset]:
    """Training and test images with their true labels: those that DATA names, else the run's own."""
    config = own if wanted.data is None and own is not None else _data_config(wanted)
    if wanted.data_root is not None and wanted.data in (None, *_names()):
        config = config.model_copy(update={"root": wanted.data_root.absolute()})
    return load_split(config, "train"), load_split(config, "test")


def _data_config(wanted: Wanted) -> DataConfig:
    assert wanted.data is not None
    options: dict[str, Any] = {} if wanted.image_size is None else {"image_size": wanted.image_size}
    if wanted.data in _names() or ("." in wanted.data and not Path(wanted.data).exists() and "/" not in wanted.data):
        return DataConfig(name=wanted.data, **options)
    if not Path(wanted.data).is_dir():
        known = ", ".join(name.replace("_", "-") for name in data.__all__)
        raise BadInput(f"'{wanted.data}' is neither a folder of class folders nor a data set; valid: {known}")
    return DataConfig(name="folder", root=Path(wanted.data).absolute(), **options)


def _names() -> list[str]:
    return [spelling for name in data.__all__ for spelling in (name, name.replace("_", "-"))]
