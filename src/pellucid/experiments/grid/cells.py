"""From a grid file to its cells, with everything that can be wrong with any of them found before one runs."""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any, TypeVar

import torch

import pellucid
from pellucid.data.dataset import Dataset
from pellucid.errors import BadInput
from pellucid.experiments.build import Splits, build_model, build_objective, load_split, load_splits
from pellucid.experiments.config import DataConfig, RunConfig, check, plain
from pellucid.experiments.grid.spec import GridSpec, Point, points
from pellucid.experiments.grid.store import Cell
from pellucid.training.fit import make_optimizer, make_schedule
from pellucid.training.settings import TrainingSettings
from pellucid.training.step import Batches, takes_attention

T = TypeVar("T")
FORMAT = 1
"""To be raised when a change of the code makes finished cells wrong."""
LATER: dict[str, dict[str, Any]] = {
    "model": {"weights_sha256": None},
    "training": {"freeze": [], "ema": None, "eps_warm_up": 0.0, "max_accuracy_drop": None, "snapshots": 0},
}
"""Keys that are younger than some finished grids: at their default they leave an identity as it was."""


IDLE = {"checkpoint_seconds"}
"""Keys of `training` that change no number: whatever they are, an identity holds their defaults."""


def plan(spec: GridSpec) -> tuple[Cell, ...]:
    """The cells of a grid, each with its resolved config, tried out as far as costs little.

    Each distinct data set is loaded, and each distinct model built and run on two images, once.

    Raises
    ------
    BadInput
        One sentence about the first thing that is wrong, naming the cell.
    """
    found = [(point, _named(point, partial(_resolved, point))) for point in points(spec)]
    _refuse_twins(found)
    cells: dict[int, Cell] = {}
    for data in {_key(config.data): config.data for _, config in found}.values():
        members = [number for number, (_, config) in enumerate(found) if config.data == data]
        first_point, first = found[members[0]]
        trial = _named(first_point, partial(_Trial.of, first, spec.resources.gpus))
        for number in members:
            point, config = found[number]
            cells[number] = _named(point, partial(trial.cell, point, config))
    return tuple(cells[number] for number in range(len(found)))


def identity_of(config: RunConfig, digests: Iterable[str], processes: int = 1) -> str:
    """SHA-256 of all that decides a cell's numbers.

    These are the resolved config (but for where the data lie), the digests of the training and test images, how many
    processes share a batch, as each draws its own numbers, and the version of the code: `FORMAT` and Pellucid's
    release, not a hash of its files, so that an edited docstring does not send a week of work back to the start.
    """
    raw = plain(config)
    raw["data"].pop("root")
    raw["model"].pop("weights")  # they may move; their hash stays
    raw["training"] |= TrainingSettings().model_dump(mode="json", include=IDLE)
    for section, later in LATER.items():
        raw[section] = {key: value for key, value in raw[section].items() if later.get(key, ...) != value}
    parts = {"format": FORMAT, "pellucid": pellucid.__version__, "config": raw, "data": list(digests)}
    parts |= {"processes": processes} if processes > 1 else {}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@dataclass
class _Trial:
    """One data set of the grid, and what has been tried on it."""

    splits: Splits
    digests: tuple[str, str]
    processes: int
    tried: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, config: RunConfig, gpus: int) -> "_Trial":
        return cls(load_splits(config), digests_of(config.data), max(1, gpus))

    def cell(self, point: Point, config: RunConfig) -> Cell:
        """The checked cell."""
        train = self.splits.train
        self._once(partial(_model_runs, config, train), config.model, config.smoothing)
        self._once(partial(_objective_fits, config, train), config.objective, config.regularisers)
        self._once(partial(_trains, config), config.training)
        identity = identity_of(config, self.digests, self.processes)
        return Cell(
            name=f"{point.label}-{identity[:8]}",
            identity=identity,
            choices=point.choices,
            config=plain(config),
            steps=Batches(train, config.training, config.seed).steps,
            setting=f"{config.data.name} {self.digests[1][:16]} {config.model.label}",
        )

    def _once(self, work: Callable[[], None], *parts: Any) -> None:
        key = f"{work.func.__name__} {_key(*parts)}"  # type: ignore[attr-defined]
        if key not in self.tried:
            work()
            self.tried.add(key)


def digests_of(data: DataConfig) -> tuple[str, str]:
    """The digests of the training (validation included) and test images."""
    return load_split(data, "train").digest(), load_split(data, "test").digest()


def _resolved(point: Point) -> RunConfig:
    config = check(point.raw)
    root = config.data.root.absolute() if config.data.root else None  # cells may run elsewhere
    return config.model_copy(update={"data": config.data.model_copy(update={"root": root})})


def _model_runs(config: RunConfig, train: Dataset) -> None:
    x, _ = train.batch([0, 1])
    with torch.no_grad():
        try:
            build_model(config, train).eval()(x)
        except BadInput:
            raise
        except (RuntimeError, ValueError, TypeError) as error:
            raise BadInput(f"model '{config.model.name}' cannot be built for these images: {error}") from error


def _objective_fits(config: RunConfig, train: Dataset) -> None:
    takes_attention(build_objective(config), train)


def _trains(config: RunConfig) -> None:
    make_optimizer(torch.nn.Linear(1, 1), config.training.optimizer)
    make_schedule(config.training.schedule)


def _refuse_twins(found: list[tuple[Point, RunConfig]]) -> None:
    unnamed = ((_key(config.model_copy(update={"arm": None})), point.label) for point, config in found)
    keyed = sorted(unnamed, key=lambda pair: pair[0])
    for (before, first), (after, second) in pairwise(keyed):
        if before == after:
            raise BadInput(
                f"the cells {first} and {second} are the same run; remove one of the two values that name it, or let "
                "them change what is trained"
            )


def _named(point: Point, work: Callable[[], T]) -> T:
    try:
        return work()
    except BadInput as error:
        raise BadInput(f"cell {point.label}: {error}") from error


def _key(*parts: Any) -> str:
    return json.dumps([part.model_dump(mode="json") if hasattr(part, "model_dump") else repr(part) for part in parts])
