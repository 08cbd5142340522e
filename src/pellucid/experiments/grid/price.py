"""What a grid will cost: each distinct kind of cell is tried for a few steps, and its measuring on a few images."""

import json
import math
import tempfile
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from dataclasses import asdict, dataclass, replace
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any

from pellucid.experiments.build import build_model, load_split
from pellucid.experiments.config import RunConfig, check
from pellucid.experiments.grid.store import Cell
from pellucid.experiments.grid.work import threads
from pellucid.experiments.measure import MEASUREMENTS, MeasureSettings, measure
from pellucid.experiments.train import dry_run, train
from pellucid.files import read_json
from pellucid.training.progress import duration
from pellucid.training.snapshots import snapshot_epochs

IMAGES = 4
"""Test images on which measuring is timed."""


@dataclass(frozen=True)
class Price:
    """Cost of the cells that are not trained yet, extrapolated; seconds for `jobs` cells at a time on this machine.

    `passes` counts images that go forward and backward through a network in training. Measuring has no workers beside
    it: `measuring_seconds` is for all cells, one after the other.
    """

    cells: int
    to_train: int
    steps: int
    passes: float
    seconds: float
    measuring_seconds: float
    memory_mb: float
    disk_mb: float
    jobs: int

    def __str__(self) -> str:
        return (
            f"{self.cells} cells, {self.to_train} to train: {self.steps:,} steps, {self.passes:.2g} image passes "
            f"(forward and backward), about {duration(self.seconds)} with {self.jobs} at a time; then about "
            f"{duration(self.measuring_seconds)} of measuring; about {self.memory_mb / 1024:.1f} GB of memory, "
            f"{self.disk_mb:.0f} MB of disk"
        )

    def plain(self) -> dict[str, Any]:
        """As plain values, for ``--json``."""
        return asdict(self)


def price(
    cells: Sequence[Cell], trained: Callable[[str], bool], settings: MeasureSettings | None, *, jobs: int, cpus: int = 1
) -> Price:
    """The price of a grid, from a few steps and images of each distinct kind of cell. Writes nothing that stays.

    Each is tried with `cpus` threads, as the cells will be run.
    """
    configs = [check(cell.config) for cell in cells]
    to_train = [config for cell, config in zip(cells, configs, strict=True) if not trained(cell.name)]
    costs = [_training(_kind(config), cpus) for config in to_train]
    networks = dict.fromkeys(map(_network, configs))
    times = {network: _measuring(network, settings, cpus) if settings else 0.0 for network in networks}
    weights = [_parameters(_network(config)) * (4 + _snapshots(config)) for config in to_train]
    measured = sum(1 + _snapshots(config) for config in configs)
    return Price(
        cells=len(cells),
        to_train=len(to_train),
        steps=sum(cost.steps for cost in costs),
        passes=sum(c.steps * c.passes_per_image * k.training.batch_size for c, k in zip(costs, to_train, strict=True)),
        seconds=sum(cost.seconds for cost in costs) / max(1, min(jobs, len(costs))),
        measuring_seconds=sum(times[_network(config)] * (1 + _snapshots(config)) for config in configs),
        memory_mb=max((cost.memory_mb for cost in costs), default=0.0) * jobs,
        # Weights, snapshots, and a checkpoint with the weights again and two moments; rows of numbers for each image.
        disk_mb=4 * sum(weights) / 2**20 + measured * _measurement_mb(settings),
        jobs=jobs,
    )


def _snapshots(config: RunConfig) -> int:
    return len(snapshot_epochs(config.training.epochs, config.training.snapshots))


def _kind(config: RunConfig) -> str:
    return config.model_copy(update={"seed": 0}).model_dump_json()


def _network(config: RunConfig) -> str:
    """A config that trains the same network as quickly as can be."""
    hurry = {"max_steps": 1, "batch_size": 2, "robust_validation": None, "choose": "last", "snapshots": 0}
    hurried = config.training.model_copy(update=hurry)
    simple = {"seed": 0, "training": hurried, "regularisers": (), "objective": check({}).objective}
    return config.model_copy(update=simple).model_dump_json()


@cache
def _training(config_json: str, cpus: int) -> Any:
    with threads(cpus):
        return dry_run(check(json.loads(config_json)))


@cache
def _parameters(config_json: str) -> int:
    config = check(json.loads(config_json))
    model = build_model(config, load_split(config.data, "train"))
    return sum(parameter.numel() for parameter in model.parameters())


def _measuring(config_json: str, settings: MeasureSettings, cpus: int) -> float:
    """Seconds for one cell: a network that is hardly trained is measured on a few images."""
    config = check(json.loads(config_json))
    images = min(settings.images, len(load_split(config.data, "test")))
    attacked, interpreted = (
        math.ceil(asked * IMAGES / images) for asked in (settings.robustness.images, settings.interpretation_images)
    )
    robustness = replace(settings.robustness, images=attacked)
    few = replace(settings, images=IMAGES, robustness=robustness, interpretation_images=interpreted)
    with tempfile.TemporaryDirectory(prefix="pellucid-") as folder, redirect_stderr(StringIO()), threads(cpus):
        run = Path(folder) / "trial"
        train(config, run)
        measure([run], few)
        seconds = float(read_json(run / MEASUREMENTS / "measurement.json")["seconds"])
    return seconds * images / IMAGES


def _measurement_mb(settings: MeasureSettings | None) -> float:
    if settings is None:
        return 0.0
    profiles = 2 if settings.profile == "both" else 1
    return settings.images * len(settings.attributions) * profiles * 2e-3 + 0.3
