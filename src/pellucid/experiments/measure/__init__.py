"""Measure run directories on images that all of them classify correctly; results go into each run, image by image."""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pellucid.data.dataset import Dataset
from pellucid.errors import BadInput
from pellucid.experiments.manifest import code_hash
from pellucid.experiments.measure.examples import examples
from pellucid.experiments.measure.notebook import Notebook
from pellucid.experiments.measure.rows import Study, accuracy_rows, legacy_space
from pellucid.experiments.measure.runs import (
    Loaded,
    loaded,
    memorisation,
    predictions,
    train_accuracy,
    twins_of,
    usual_eps,
)
from pellucid.experiments.measure.settings import PROFILES, SANITY, MeasureSettings, Robustness, make_settings
from pellucid.experiments.suite import DIFFROAD_LEVELS, HELD_OUT, NOISE_LEVELS, ROAD_PERCENTAGES, ROS_DRAWS, explainer
from pellucid.files import read_json, write_atomic, write_json, write_json_lines
from pellucid.randomness import generator
from pellucid.training.progress import Reporter, duration

MEASUREMENTS = "measurements"
__all__ = [
    "MEASUREMENTS",
    "PROFILES",
    "SANITY",
    "MeasureSettings",
    "Robustness",
    "make_settings",
    "measure",
]


def measure(directories: Sequence[Path], settings: MeasureSettings) -> dict[str, Any]:
    """Measure the runs on the same images and write ``measurements/`` into each.

    Runs whose measurement is already there, with the same settings, weights, images and code, are not measured again;
    an interrupted measurement goes on where it was. Where runs differ in nothing but their seed, the maps of each are
    also compared with those of the next seed.

    Returns
    -------
    What was measured: the content of ``measurement.json`` without the time.

    Raises
    ------
    BadInput
        If a directory is no finished run, the runs' test images differ, or no image is classified correctly by all.
    """
    runs = [loaded(directory) for directory in directories]
    test = runs[0].test
    for run in runs[1:]:
        if run.test.digest() != test.digest():
            raise BadInput(f"{runs[0].directory} and {run.directory} have different test images; compare them apart")
    if settings.robustness.eps is None:
        settings = replace(settings, robustness=replace(settings.robustness, eps=usual_eps(runs)))
    predicted = [predictions(run.model, test) for run in runs]
    correct = torch.stack([found == test.labels for found in predicted]).all(0)
    chosen = _choose(correct, settings)
    if len(chosen) == 0:
        raise BadInput("no test image is classified correctly by all compared runs; nothing can be measured")
    images = test.subset(chosen)
    about = _about(settings, runs, correct, images)
    for run, found in zip(runs, predicted, strict=True):
        _Measurement(run, twins_of(run, runs), images, settings, about).write(found)
    return about


@dataclass(frozen=True)
class _Measurement:
    """The measurement of one run among those that it is compared with."""

    run: Loaded
    twins: Mapping[str, Loaded]
    images: Dataset
    settings: MeasureSettings
    about: dict[str, Any]

    def write(self, predicted: Tensor) -> None:
        """Measure and write, or say that it is done already."""
        run, name = self.run, self.run.directory.name
        target = run.directory / MEASUREMENTS
        done = target / "measurement.json"
        if done.exists() and _same(read_json(done), self.identity):
            Reporter(name, 0).say(f"{name}: already measured ({target})")
            return
        began = time.monotonic()
        done.unlink(missing_ok=True)  # it is written last: a measurement without it is not complete
        studies = [
            Study(run, self.images, attribution, metrics, self.settings, self.twins)
            for attribution, metrics in self.settings.attributions.items()
        ]
        attack = self.settings.robustness
        steps = min(attack.images, len(run.test)) + len(self.images) * sum(study.passes for study in studies)
        with Reporter(f"measuring {name}", steps) as reporter:
            notes = Notebook(target / ".accuracy.notes", self.identity)
            rows = accuracy_rows(run, attack, predicted, seed=self.settings.seed, notes=notes, tick=reporter.tick)
            write_json_lines(target / "accuracy.jsonl", rows)
            for study in studies:
                notes = Notebook(target / f".{study.attribution}.notes", self.identity)
                write_json_lines(target / f"{study.attribution}.jsonl", study.rows(notes, reporter.tick))
            write_atomic(target / "examples.npz", examples(run, self.images, self.settings))
        seconds = time.monotonic() - began
        learnt = {"train_accuracy": train_accuracy(run), "memorisation": memorisation(run)}
        write_json(done, self.identity | learnt | {"seconds": seconds})
        for path in target.glob(".*.notes"):
            path.unlink()
        Reporter(name, 0).say(f"{name}: measured on {len(self.images)} images in {duration(seconds)}")

    @property
    def identity(self) -> dict[str, Any]:
        """All that decides the numbers."""
        weights = {"weights_sha256": self.run.manifest["weights"]["sha256"]}
        twins = {f"{name}_sha256": twin.manifest["weights"]["sha256"] for name, twin in self.twins.items()}
        return self.about | weights | twins


def _same(before: dict[str, Any], now: dict[str, Any]) -> bool:
    found = {key: value for key, value in before.items() if key not in {"seconds", "train_accuracy", "memorisation"}}
    return bool(found == json.loads(json.dumps(now)))


def _choose(correct: Tensor, settings: MeasureSettings) -> Tensor:
    """Positions of `settings.images` images (fewer where there are fewer), drawn by the seed, in ascending order."""
    order = torch.randperm(len(correct), generator=generator(settings.seed, "measured images"))
    return order[correct[order]][: settings.images].sort().values


def _about(settings: MeasureSettings, runs: Sequence[Loaded], correct: Tensor, images: Dataset) -> dict[str, Any]:
    ids = hashlib.sha256(json.dumps(images.ids.tolist()).encode()).hexdigest()
    attack = settings.robustness
    return {
        "format": 1,
        "profile": settings.profile,
        "seed": settings.seed,
        "images": {
            "asked": settings.images,
            "measured": len(images),
            "candidates": len(correct),
            "ids_sha256": ids,
            "compared": [run.directory.name for run in runs],
            "dropped": {"misclassified by at least one compared model": int((~correct).sum())},
        },
        "robustness": asdict(attack) | {"step_size": attack.radius / 4, "images": min(attack.images, len(correct))},
        "attributions": {
            name: {"metrics": list(metrics), **explainer(name).shown} for name, metrics in settings.attributions.items()
        },
        "interpretation_images": settings.interpretation_images,
        "legacy_space": legacy_space(runs[0].test),
        "ros_draws": ROS_DRAWS,
        "ssim_noise": list(NOISE_LEVELS),
        "road_percentages": list(ROAD_PERCENTAGES),
        "held_out": list(HELD_OUT),
        "diffroad_levels": list(DIFFROAD_LEVELS),
        "code_sha256": code_hash(),
    }
