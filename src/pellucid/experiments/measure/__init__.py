"""Measure run directories on images that all of them classify correctly; results go into each run, image by image."""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pellucid.data.dataset import Dataset
from pellucid.errors import BadInput
from pellucid.experiments.manifest import code_hash
from pellucid.experiments.measure.examples import examples, thumbnails
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
from pellucid.experiments.measure.stopping import Stream, stopping_time
from pellucid.experiments.measure.team import Team, join
from pellucid.experiments.measure.until import Until
from pellucid.experiments.suite import (
    DIFFROAD_LEVELS,
    HELD_OUT,
    NOISE_LEVELS,
    ROAD_PERCENTAGES,
    ROS_DRAWS,
    explainer,
    images_per_pass,
)
from pellucid.files import read_json, write_atomic, write_json, write_json_lines
from pellucid.randomness import generator
from pellucid.training.progress import Reporter, duration
from pellucid.training.step import to_device

MEASUREMENTS, DONE = "measurements", "measurement.json"
RESULTS = frozenset({"stopped", "train_accuracy", "memorisation", "seconds", "batch_size", "processes"})
"""What a measurement.json says beside what was asked for."""
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
    also compared with those of the next seed. Processes that torchrun started share the work; the first one writes.

    Returns
    -------
    What was measured: what the ``measurement.json`` of all runs have in common.

    Raises
    ------
    BadInput
        If a directory is no finished run, the runs' test images differ, or no image is classified correctly by all.
    """
    team = join()
    runs = [loaded(directory) for directory in directories]
    test = runs[0].test
    for run in runs[1:]:
        if run.test.digest() != test.digest():
            raise BadInput(f"{runs[0].directory} and {run.directory} have different test images; compare them apart")
    if settings.robustness.eps is None:
        settings = replace(settings, robustness=replace(settings.robustness, eps=usual_eps(runs)))
    chunks = [_chunk(run, settings, team) for run in runs]
    predicted = [predictions(run.model, test, chunk=chunk, team=team) for run, chunk in zip(runs, chunks, strict=True)]
    correct = torch.stack([found == test.labels for found in predicted]).all(0)
    places = _choose(correct, settings)
    if len(places) == 0:
        collapsed = [run.directory.name for run, seen in zip(runs, predicted, strict=True) if len(seen.unique()) == 1]
        why = f": {', '.join(collapsed)} give all images one class; measure the others without" if collapsed else ""
        raise BadInput(f"no test image is classified correctly by all compared runs; nothing can be measured{why}")
    about = _about(settings, runs, correct, places)
    measurements = [
        _Measurement(run, twins_of(run, runs), places, settings, about, chunk, team)
        for run, chunk in zip(runs, chunks, strict=True)
    ]
    team.check_same([measurement.identity for measurement in measurements])
    began = time.monotonic()
    count = len(places) if settings.until is None else _stop(measurements, settings.until, team)
    spent = (time.monotonic() - began) / len(runs)
    for measurement, found in zip(measurements, predicted, strict=True):
        measurement.write(found, count, spent)
    return about | _measured(about, test, places[:count])


@dataclass(frozen=True)
class _Measurement:
    """The measurement of one run among those that it is compared with, on the test images at `places`, in that order.

    `chunk` images go through the model at once, at most.
    """

    run: Loaded
    twins: Mapping[str, Loaded]
    places: Tensor
    settings: MeasureSettings
    about: dict[str, Any]
    chunk: int
    team: Team

    def write(self, predicted: Tensor, count: int, spent: float) -> None:
        """Measure the first `count` images and write, or say that it is done already; `spent` seconds went before."""
        team, name = self.team, self.run.directory.name
        say = Reporter(name, 0, quiet=not team.leads).say
        if self.done is not None:
            say(f"{name}: already measured ({self.target})")
            return
        began = time.monotonic() - spent
        self.begin()
        stopped = self._write_rows(predicted, count)
        learnt: dict[str, Any] = {"train_accuracy": train_accuracy(self.run, chunk=self.chunk, team=team)}
        if team.leads:
            learnt["memorisation"] = memorisation(self.run)
            subset = self.run.test.subset(self.places[:count].sort().values)
            write_atomic(self.target / "examples.npz", examples(self.run, subset, self.settings, self.chunk))
            write_atomic(self.target / "thumbnails.npz", thumbnails(subset))
            costs = {"seconds": time.monotonic() - began, "batch_size": self.chunk, "processes": team.size}
            measured = _measured(self.about, self.run.test, self.places[:count])
            write_json(self.target / DONE, self.identity | measured | stopped | learnt | costs)
        team.gather(None)  # nobody goes on before the measurement is written
        for path in self.target.glob(".*.notes*"):
            path.unlink(missing_ok=True)
        say(f"{name}: measured on {count} images in {duration(time.monotonic() - began)}")

    def begin(self) -> None:
        """Take the mark of a complete measurement away: it is written last."""
        if self.team.leads:
            (self.target / DONE).unlink(missing_ok=True)

    def watched(self) -> list[Stream]:
        """The studies that a stopping rule looks at."""
        names = self.settings.watched
        return [Stream(study, self._notes(study.attribution)) for study in self.studies if study.attribution in names]

    @cached_property
    def studies(self) -> list[Study]:
        """One an attribution."""
        images = self.run.test.subset(self.places)
        return [
            Study(self.run, images, attribution, metrics, self.settings, self.twins, self.chunk)
            for attribution, metrics in self.settings.attributions.items()
        ]

    @cached_property
    def done(self) -> dict[str, Any] | None:
        """The measurement that is already there, if it is this one."""
        path = self.target / DONE
        before = read_json(path) if self.team.leads and path.exists() else {}
        return self.team.agreed(before if _request(before) == json.loads(json.dumps(self.identity)) else None)

    @property
    def target(self) -> Path:
        """The folder of the measurement."""
        return self.run.directory / MEASUREMENTS

    @property
    def identity(self) -> dict[str, Any]:
        """All that decides the numbers."""
        weights = {"weights_sha256": self.run.manifest["weights"]["sha256"]}
        twins = {f"{name}_sha256": twin.manifest["weights"]["sha256"] for name, twin in self.twins.items()}
        return self.about | weights | twins

    def _notes(self, part: str) -> Notebook:
        return Notebook(self.target / f".{part}.notes", self.identity, self.team)

    def _write_rows(self, predicted: Tensor, count: int) -> dict[str, Any]:
        """Write the per-image files, rows in the order of the test set; the intervals of the watched numbers."""
        settings, until, attack = self.settings, self.settings.until, self.settings.robustness
        order, found = self.places[:count].argsort().tolist(), {}
        steps = min(attack.images, len(predicted)) + count * sum(study.passes for study in self.studies)
        with Reporter(f"measuring {self.run.directory.name}", steps, quiet=not self.team.leads) as reporter:
            notes, options = self._notes("accuracy"), {"seed": settings.seed, "chunk": self.chunk}
            rows = accuracy_rows(self.run, attack, predicted, notes=notes, tick=reporter.tick, **options)
            self._save("accuracy", rows)
            for study in self.studies:
                rows = study.rows(self._notes(study.attribution), reporter.tick, count)
                self._save(study.attribution, [rows[place] for place in order])
                if until is not None and study.attribution in settings.watched:
                    found[study.attribution] = until.found(rows, study.metrics)
        return {} if until is None else {"stopped": {"images": count, "intervals": found}}

    def _save(self, part: str, rows: Sequence[dict[str, Any]]) -> None:
        if self.team.leads:
            write_json_lines(self.target / f"{part}.jsonl", rows)


def _request(found: dict[str, Any]) -> dict[str, Any]:
    """What a measurement.json says about what was asked for."""
    kept = {key: value for key, value in found.items() if key not in RESULTS}
    images = {key: value for key, value in found.get("images", {}).items() if key not in {"measured", "ids_sha256"}}
    return kept | {"images": images}


def _measured(about: dict[str, Any], test: Dataset, places: Tensor) -> dict[str, Any]:
    ids = test.ids[places.sort().values]
    return {"images": about["images"] | {"measured": len(places), "ids_sha256": _digest(ids)}}


def _digest(ids: Tensor) -> str:
    return hashlib.sha256(json.dumps(ids.tolist()).encode()).hexdigest()


def _chunk(run: Loaded, settings: MeasureSettings, team: Team) -> int:
    """How many images to take through the run's model at once, the same in all processes."""
    if settings.batch_size is not None:
        return settings.batch_size
    x, _ = to_device(run.test.batch([0]), run.model)
    return min(team.gather(images_per_pass(run.model, x)))


def _stop(measurements: Sequence[_Measurement], until: Until, team: Team) -> int:
    """After how many images the rule is fulfilled, or was when some of the runs were measured."""
    for measurement in measurements:
        if measurement.done is not None:
            return int(measurement.done["stopped"]["images"])
    for measurement in measurements:
        measurement.begin()
    return stopping_time([stream for one in measurements for stream in one.watched()], until, team)


def _choose(correct: Tensor, settings: MeasureSettings) -> Tensor:
    """Positions of `settings.images` images (fewer where there are fewer), drawn by the seed.

    In ascending order, or in the order in which they were drawn where a rule says when to stop.
    """
    order = torch.randperm(len(correct), generator=generator(settings.seed, "measured images"))
    drawn = order[correct[order]][: settings.images]
    return drawn if settings.until is not None else drawn.sort().values


def _about(settings: MeasureSettings, runs: Sequence[Loaded], correct: Tensor, places: Tensor) -> dict[str, Any]:
    attack, until = settings.robustness, settings.until
    return {
        "format": 1,
        "profile": settings.profile,
        "seed": settings.seed,
        "images": {
            "asked": settings.images if until is None else len(places),
            "candidates": len(correct),
            "order_sha256": _digest(runs[0].test.ids[places]),
            "compared": [run.directory.name for run in runs],
            "dropped": {"misclassified by at least one compared model": int((~correct).sum())},
        },
        "robustness": asdict(attack) | {"step_size": attack.radius / 4, "images": min(attack.images, len(correct))},
        "attributions": {
            name: {"metrics": list(metrics), **explainer(name).shown} for name, metrics in settings.attributions.items()
        },
        "until": None if until is None else until.shown(),
        "interpretation_images": settings.interpretation_images,
        "legacy_space": legacy_space(runs[0].test),
        "ros_draws": ROS_DRAWS,
        "ssim_noise": list(NOISE_LEVELS),
        "road_percentages": list(ROAD_PERCENTAGES),
        "held_out": list(HELD_OUT),
        "diffroad_levels": list(DIFFROAD_LEVELS),
        "code_sha256": code_hash(),
    }
