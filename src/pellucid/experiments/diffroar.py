"""DiffROAR: can fresh models learn more from the pixels that an attribution puts first than from those it puts last?

A grid of trainings, one cell for each level, side and seed. A finished cell is a small file beside the run's other
measurements, and the cell in hand has a checkpoint, so the same call goes on where it stopped.
"""

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pellucid.data.dataset import Dataset
from pellucid.errors import BadInput
from pellucid.experiments.build import Splits, build_model
from pellucid.experiments.config import RunConfig, plain
from pellucid.experiments.manifest import code_hash
from pellucid.experiments.measure import MEASUREMENTS
from pellucid.experiments.suite import Explainer, explainer
from pellucid.experiments.train import load_run, remove_leftovers, standing_alone
from pellucid.files import read_json, write_json
from pellucid.metrics.faithfulness.diffroad import keep_mask
from pellucid.objectives import natural
from pellucid.randomness import seed_from
from pellucid.training.fit import fit
from pellucid.training.progress import Reporter
from pellucid.training.settings import TrainingSettings
from pellucid.training.step import to_device

LEVELS = (0.05, 0.1, 0.2, 0.3, 0.5)
RESULT, CELLS = "diffroar.json", "diffroar"
SIDES = ("most", "least")
BATCH = 64


@dataclass(frozen=True)
class DiffroarSettings:
    """What to keep and how often to train.

    Attributes
    ----------
    attributions
        Names as in a config; "random_map" is the control, whose DiffROAR is 0 but for chance.
    levels
        Shares of the C·H·W coordinates that are kept, each in (0, 1).
    seeds
        Fresh models per level and side.
    epochs
        Of each training; None: the budget of the run.
    """

    attributions: Sequence[str] = ("gradient",)
    levels: Sequence[float] = LEVELS
    seeds: int = 3
    epochs: int | None = None

    def __post_init__(self) -> None:
        for level in self.levels:
            if not 0 < level < 1:
                raise BadInput(f"a level is the share of coordinates that are kept, between 0 and 1; got {level:g}")
        for what, number in (("seeds", self.seeds), ("epochs", self.epochs)):
            if number is not None and number < 1:
                raise BadInput(f"DiffROAR needs at least 1 of {what}; got {number}")
        for name in self.attributions:
            explainer(name)


def diffroar(directories: Sequence[Path], settings: DiffroarSettings) -> None:
    """Measure runs and write ``measurements/diffroar.json`` into each: test accuracies of the retrained models.

    For each level k, DiffROAR(k) is the test accuracy of models trained and tested on images of which only the k most
    important coordinates are left, minus that for the k least important ones (higher is better; below 0 the attribution
    is inverted). Explained is the class that the run predicts, by its logit, so that no true label shapes a mask. All
    other coordinates become the mean of all training pixels (one number in pixel space, rounded to 1/255: normalisation
    is inside the model). The fresh models have the run's architecture, normalisation and training settings, but the
    natural objective; their last epoch counts. The two sides of one level and seed are paired: same initial weights,
    same order of images.

    Raises
    ------
    BadInput
        If a directory holds no finished run.
    RunFailed
        If a training fails or is asked to stop; the same call goes on with it.

    References
    ----------
    Shah et al. 2021, "Do input gradients highlight discriminative features?"; definitions §4.6.
    """
    for directory in directories:  # hours go into the first, so all are looked at before
        load_run(directory)
    for directory in directories:
        for name in settings.attributions:
            _measure(directory, explainer(name), settings)


def masked(dataset: Dataset, model: nn.Module, explain: Explainer, *, level: float, side: str, fill: int) -> Dataset:
    """The images with only their most (or least) important coordinates left, the others set to `fill` (0 … 255).

    Parameters
    ----------
    model
        The model that is explained, in eval mode; the class is the one that it predicts.
    level
        Share of the coordinates that are left.
    side
        "most" or "least".
    """
    images = torch.empty_like(dataset.images)
    for positions in torch.arange(len(dataset)).split(BATCH):
        x, _ = to_device(dataset.batch(positions), model)
        with torch.no_grad():
            predicted = model(x).argmax(1)
        attribution = explain.attribution(model, x, predicted, dataset.ids[positions].tolist())
        kept = keep_mask(attribution, level, most=side == "most").cpu()
        images[positions] = dataset.images[positions].masked_fill(~kept, fill)
    return replace(dataset, images=images)


def pixel_mean(dataset: Dataset) -> int:
    """The mean of all pixels of all channels, in 0 … 255."""
    return round(int(dataset.images.sum(dtype=torch.int64)) / dataset.images.numel())


def cell_settings(training: TrainingSettings, epochs: int | None) -> TrainingSettings:
    """The settings of the run for a natural training of which the last epoch counts, for `epochs` if given."""
    budget = {} if epochs is None else {"epochs": epochs, "max_steps": None}
    return training.model_copy(update={"robust_validation": None, "choose": "last"} | budget)


@dataclass(frozen=True)
class _Study:
    """A run, one way to explain it, and how fresh models are trained on what the explanation leaves of the images."""

    directory: Path
    config: RunConfig
    model: nn.Module
    splits: Splits
    explain: Explainer
    training: TrainingSettings
    about: dict[str, Any]

    @property
    def title(self) -> str:
        return f"{self.directory.name} {self.explain.name}"

    @property
    def cells(self) -> Path:
        return self.directory / MEASUREMENTS / CELLS

    @property
    def result(self) -> Path:
        return self.directory / MEASUREMENTS / RESULT


@dataclass(frozen=True)
class _Kept:
    """One side of one level of a study."""

    study: _Study
    level: float
    side: str

    @cached_property
    def data(self) -> tuple[Dataset, Dataset]:
        """Training and test images with only these coordinates left; made only if a training needs them."""
        study = self.study
        train, test = (
            masked(part, study.model, study.explain, level=self.level, side=self.side, fill=study.about["fill"])
            for part in (study.splits.train, study.splits.test)
        )
        return train, test


def _measure(directory: Path, explain: Explainer, settings: DiffroarSettings) -> None:
    study = _study(directory, explain, settings)
    remove_leftovers(study.cells)
    rows = []
    for level in sorted(set(settings.levels)):
        accuracies = {}
        for side in SIDES:
            kept = _Kept(study, level, side)
            accuracies[side] = [_accuracy(kept, seed) for seed in range(settings.seeds)]
        differences = [most - least for most, least in zip(*accuracies.values(), strict=True)]
        mean = sum(differences) / len(differences)
        rows.append({"level": level, **accuracies, "difference": differences, "mean": mean})
    found = {"code_sha256": code_hash(), **study.about, "seeds": settings.seeds, "levels": rows}
    write_json(study.result, {"format": 1, "attributions": _still_valid(study) | {explain.name: found}})
    trainings = 2 * settings.seeds * len(rows)
    Reporter(study.title, 0).say(f"{study.title}: DiffROAR measured with {trainings} trainings ({study.result})")


def _study(directory: Path, explain: Explainer, settings: DiffroarSettings) -> _Study:
    config, manifest, model, splits = load_run(directory)
    if torch.cuda.is_available() and config.training.device != "cpu":
        model = model.cuda()
    training = cell_settings(config.training, settings.epochs)
    about = {
        "weights_sha256": manifest["weights"]["sha256"],
        "train_sha256": splits.train.digest(),
        "test_sha256": splits.test.digest(),
        "attribution": {"name": explain.name} | explain.shown,
        "explained_class": "predicted",
        "fill": pixel_mean(splits.train),
        "architecture": {key: plain(config)[key] for key in ("model", "smoothing")},
        "training": training.model_dump(mode="json"),
    }
    return _Study(directory, config, model, splits, explain, training, about)


def _accuracy(kept: _Kept, seed: int) -> float:
    """The test accuracy of one cell: read if it is there, else trained and written."""
    study = kept.study
    identity = study.about | {"level": kept.level, "kept": kept.side, "seed": seed}
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    name = f"{study.explain.name}-{kept.side}-{kept.level:g}-seed-{seed}-{digest}"
    done, scratch = study.cells / f"{name}.json", study.cells / name
    if not done.exists():
        write_json(done, identity | _train(kept, seed, scratch))
    shutil.rmtree(scratch, ignore_errors=True)
    accuracy: float = read_json(done)["accuracy"]
    return accuracy


def _train(kept: _Kept, seed: int, directory: Path) -> dict[str, float]:
    """Train a fresh model on the masked training images, from its checkpoint if there is one: its last epoch."""
    study, (train, test) = kept.study, kept.data
    own_seed = seed_from("diffroar", seed)  # not that of the run, whose initial weights need not be met again
    # Normalised as the run is: statistics of masked images would rescale what is left.
    # A fine-tuned run began with weights that have seen the whole images; the fresh model may not.
    alone = standing_alone(study.config, study.directory)
    model = build_model(alone.model_copy(update={"seed": own_seed}), study.splits.train)
    title = f"{study.title}, {kept.side} important {100 * kept.level:g} %, seed {seed}"
    # The test images are looked at after each epoch but choose nothing.
    state = fit(model, natural, train, test, settings=study.training, seed=own_seed, directory=directory, title=title)
    last = state.history[-1]
    return {"accuracy": last["clean_accuracy"], "training_loss": last["loss"]}


def _still_valid(study: _Study) -> dict[str, Any]:
    """What was measured before with other attributions, where weights, images and training are those of now."""
    before = read_json(study.result).get("attributions", {}) if study.result.exists() else {}
    same = ("weights_sha256", "train_sha256", "test_sha256", "training")
    return {name: found for name, found in before.items() if all(found.get(key) == study.about[key] for key in same)}
