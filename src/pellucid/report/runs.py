"""Run directories as frozen dataclasses of numpy arrays: the only door through which the report sees the disk."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.errors import BadInput
from pellucid.files import read_json_lines
from pellucid.report.reading import Floats, Ids, identifiers, lookup, read_arrays, read_columns, read_mapping

ROLES: dict[tuple[str, str, str], tuple[str, str]] = {
    ("natural", "none", ""): ("N", "natural training"),
    ("adversarial", "none", ""): ("A", "adversarial training"),
    ("adversarial", "gaussian", ""): ("G", "adversarial training + Gaussian SmoothBlock"),
    ("adversarial", "mean", ""): ("M1", "adversarial training + mean SmoothBlock"),
    ("adversarial", "median", ""): ("M2", "adversarial training + median SmoothBlock"),
    ("adversarial", "identity", ""): ("I", "adversarial training + SmoothBlock without a filter (control)"),
    ("l1", "none", ""): ("L1", "L1-regularised adversarial training"),
    ("elastic_net", "none", ""): ("EN", "elastic-net-regularised adversarial training"),
    ("group_norm", "none", ""): ("GN", "group-norm-regularised adversarial training"),
    ("gaze", "none", ""): ("GZ", "gaze harmonisation"),
    ("natural", "none", "misalignment"): ("MA", "natural training + misalignment"),
}
_ORDER = [role for role, _ in ROLES.values()]

_CONFIG = {"data": dict, "model": dict, "objective": dict, "objective.name": str}
_MANIFEST = {
    "data": dict,
    "data.name": str,
    "data.test_sha256": str,
    "data.classes": list,
    "model": dict,
    "seed": int,
    "versions": dict,
    "weights": dict,
    "cost": dict,
}
_MEASUREMENT = {
    "images": dict,
    "images.asked": int,
    "images.candidates": int,
    "images.measured": int,
    "images.dropped": dict,
    "robustness": dict,
    "attributions": dict,
}


SNAPSHOTS = "snapshots"
"""The folder of a run that holds what it was on the way, each a run directory of its own."""

_LISTS = {
    "ssim_noise": ("ssim", "spearman", "cosine", "ssim_legacy"),
    "road_percentages": ("road", "road_random", "road_legacy"),
    "held_out": ("held_out_ssim", "held_out_spearman", "held_out_cosine"),
    "diffroad_levels": ("diffroad",),
}
"""The lists of measurement.json, and the columns that hold one number for each of their entries."""


@dataclass(frozen=True)
class Columns:
    """Per-image numbers: `ids` [n] names the images, each value is [n] or [n, levels], NaN = undefined."""

    ids: Ids
    values: Mapping[str, Floats]


@dataclass(frozen=True)
class Examples:
    """A few images [k, C, H, W] in [0, 1], their maps [k, H, W] by attribution, features [n, h, w] around a block."""

    ids: Ids
    labels: Ids
    images: npt.NDArray[Any]
    maps: Mapping[str, npt.NDArray[Any]]
    before: npt.NDArray[Any] | None = None
    after: npt.NDArray[Any] | None = None


@dataclass(frozen=True)
class Run:
    """One trained and measured model.

    Attributes
    ----------
    name
        What tables call it: the role where it is alone in it, the folder otherwise.
    folder
        Where it lies, as seen from the folder that is reported on.
    role, meaning
        N, A, G, M1, M2, I, L1, EN, GN, GZ, MA and what they mean, derived from the config; for anything else the arm
        that the config or the grid names, or the objective and its terms.
    """

    path: Path
    name: str
    folder: str
    role: str
    meaning: str
    config: Mapping[str, Any]
    manifest: Mapping[str, Any]
    history: tuple[Mapping[str, Any], ...]
    measurement: Mapping[str, Any]
    accuracy: Columns
    attributions: Mapping[str, Columns]
    examples: Examples | None
    diffroar: Mapping[str, float] = field(default_factory=dict)
    """DiffROAR by attribution, mean over levels and retrainings; empty if it was not measured."""
    snapshots: tuple["Run", ...] = ()
    """The measured snapshots that the run kept on the way, in the order of their steps; each is called like the run."""

    @property
    def seed(self) -> int:
        """The seed of the training."""
        return int(self.manifest["seed"])

    @property
    def setting(self) -> tuple[str, str, str]:
        """Data set (and the run's own group), test images, and architecture: only runs that share them are compared."""
        data, group = self.manifest["data"], self.config.get("group")
        name = data["name"] if group is None else f"{data['name']} ({group})"
        return name, data["test_sha256"], str(lookup(self.manifest, "model.name"))

    @property
    def layer(self) -> str | None:
        """The module the SmoothBlock stands after, None without a block."""
        after = lookup(self.manifest, "model.smoothing.after") or lookup(self.config, "smoothing.after")
        return None if after is None else str(after)

    def class_name(self, label: int) -> str:
        """The name of a class, or its number if it has none."""
        classes = self.manifest["data"]["classes"]
        return str(classes[label]) if 0 <= label < len(classes) else str(label)


def read_runs(directory: Path) -> tuple[Run, ...]:
    """Every run in or below `directory`, in the order N, A, G, M1, M2, I, L1, EN, GN, GZ, MA, others.

    Raises
    ------
    BadInput
        If there is no run, or one is unfinished, unmeasured or damaged.
    """
    if not directory.is_dir():
        raise BadInput(f"there is no folder {directory}: give the folder that holds the run directories")
    found = (path.parent for path in directory.rglob("manifest.json"))
    folders = sorted((folder for folder in found if folder.parent.name != SNAPSHOTS), key=_natural)
    arms: dict[str, str | None] = {}
    if (directory / "grid.json").is_file():  # cells of an earlier version of the grid lie beside the present ones
        arms = _cells(directory)
        present = {directory / "runs" / name for name in arms if not _failed(directory, name)}
        folders = [folder for folder in folders if folder in present]
    if not folders:
        raise BadInput(f"no run directory in {directory}: a run holds a manifest.json, written by `pellucid train`")
    runs = [read_run(folder, arms.get(folder.name)) for folder in folders]
    return _named([replace(run, folder=run.path.relative_to(directory).as_posix()) for run in runs])


def _cells(directory: Path) -> dict[str, str | None]:
    """The present cells of a grid, and what its axis `arm` calls them."""
    cells = read_mapping(directory / "grid.json", {"cells": list})["cells"]
    if not all(isinstance(cell, dict) and isinstance(cell.get("name"), str) for cell in cells):
        raise BadInput(f"{directory / 'grid.json'} is damaged: each of its cells needs a name")
    return {cell["name"]: lookup(cell, "choices.arm") for cell in cells}


def absent_cells(directory: Path) -> list[str]:
    """The present cells of a grid that have failed or not begun: a report leaves them out, and says so."""
    if not (directory / "grid.json").is_file():
        return []
    manifests = {name: directory / "runs" / name / "manifest.json" for name in _cells(directory)}
    return [name for name, manifest in manifests.items() if not manifest.is_file() or _failed(directory, name)]


def _failed(directory: Path, cell: str) -> bool:
    return (directory / "cells" / cell / "failed.json").is_file()


def read_listed(paths: Sequence[Path]) -> tuple[Run, ...]:
    """The runs at `paths`, ordered and named as in :func:`read_runs`. Errors as in :func:`read_run`."""
    return _named([read_run(path) for path in paths])


def _named(runs: Sequence[Run]) -> tuple[Run, ...]:
    """Put the runs in order, and call each by its role, or by its folder where it shares its role with others."""
    alone = Counter(run.role for run in runs)
    named = [replace(run, name=run.role if alone[run.role] == 1 else _short(run)) for run in runs]
    if len({run.name for run in named}) < len(named):  # a folder is called like another run's role
        named = [replace(run, name=run.folder) for run in runs]
    rank = {role: place for place, role in enumerate(_ORDER)}
    return tuple(sorted(named, key=lambda run: (rank.get(run.role, len(rank)), run.seed, _natural(run.path))))


def read_run(path: Path, arm: str | None = None) -> Run:
    """One run directory, called `arm` by its grid. Raises BadInput with the path if something is missing or damaged."""
    manifest = read_mapping(path / "manifest.json", _MANIFEST)
    if manifest.get("status") != "finished":
        raise BadInput(f"{path} has not finished training: run the same `pellucid train` command again to continue it")
    folder = path / "measurements"
    if not (folder / "measurement.json").is_file():
        raise BadInput(f"{path} has not been measured: run `pellucid measure` on it and on the runs to compare it with")
    config = read_mapping(path / "config.yaml", _CONFIG)
    measurement = read_mapping(folder / "measurement.json", _MEASUREMENT)
    if measurement.get("weights_sha256", manifest["weights"].get("sha256")) != manifest["weights"].get("sha256"):
        raise BadInput(f"{path} was measured before its last training: run `pellucid measure` on it again")
    role, meaning = _role(config, arm)
    return Run(
        path=path,
        name=role,
        folder=str(path),
        role=role,
        meaning=meaning,
        config=config,
        manifest=manifest,
        history=tuple(read_json_lines(path / "history.jsonl")),
        measurement=measurement,
        accuracy=_columns(folder / "accuracy.jsonl", ["id", "correct"], {}),
        attributions={
            name: _columns(folder / f"{name}.jsonl", ["id"], _levels(measurement, folder))
            for name in measurement["attributions"]
        },
        examples=_examples(folder / "examples.npz"),
        diffroar=_diffroar(folder / "diffroar.json"),
        snapshots=_snapshots(path, role, meaning),
    )


def _snapshots(path: Path, role: str, meaning: str) -> tuple[Run, ...]:
    """Those that have been measured: a run can be reported on without them."""
    folders = sorted((path / SNAPSHOTS).glob("*/measurements/measurement.json"), key=_natural)
    found = [read_run(folder.parents[1]) for folder in folders]
    return tuple(replace(one, name=role, role=role, meaning=meaning) for one in found)


def _diffroar(path: Path) -> dict[str, float]:
    if not path.is_file():
        return {}
    studies = read_mapping(path, {"attributions": dict})["attributions"]
    return {name: float(np.mean([level["difference"] for level in study["levels"]])) for name, study in studies.items()}


def _columns(path: Path, required: list[str], levels: Mapping[str, int]) -> Columns:
    table = read_columns(path, required)
    for key, count in levels.items():
        if key in table and table[key].shape[1:] != (count,):
            raise BadInput(f"{path} is damaged: '{key}' should hold {count} numbers an image, as measurement.json says")
    ids = identifiers(table.pop("id"), str(path))
    return Columns(ids, table)


def _levels(measurement: Mapping[str, Any], folder: Path) -> dict[str, int]:
    """How many numbers an image each list column must hold."""
    counts: dict[str, int] = {}
    for listed, columns in _LISTS.items():
        levels = measurement.get(listed) or []
        if not isinstance(levels, list):
            raise BadInput(f"{folder / 'measurement.json'} is damaged: {listed} must be a list")
        counts |= dict.fromkeys(columns, len(levels))
    return counts


def _examples(path: Path) -> Examples | None:
    if not path.is_file():
        return None
    arrays = read_arrays(path)
    maps = {key.removeprefix("map:"): value for key, value in arrays.items() if key.startswith("map:")}
    missing = {"ids", "labels", "images"} - arrays.keys()
    if missing or arrays["images"].ndim != 4:
        raise BadInput(f"{path} is damaged: it needs ids, labels and images [k, C, H, W]")
    count = len(arrays["ids"])
    for key, value in maps.items():
        if value.ndim != 3:
            raise BadInput(f"{path} is damaged: 'map:{key}' should be [k, H, W], not {list(value.shape)}")
    for key, value in arrays.items():
        if not key.startswith("features:") and len(value) != count:
            raise BadInput(f"{path} is damaged: {count} ids came with {len(value)} entries of '{key}'")
    features = arrays.get("features:before"), arrays.get("features:after")
    return Examples(arrays["ids"], arrays["labels"], arrays["images"], maps, *features)


def _role(config: Mapping[str, Any], named: str | None) -> tuple[str, str]:
    """The role that the config plays in the published comparisons; else its arm, or what it trains for."""
    objective = str(lookup(config, "objective.name")).lower().replace("-", "_")
    smoothing = str(lookup(config, "smoothing.filter") or "none").lower()
    terms = [str(term["name"]).replace("-", "_") for term in config.get("regularisers") or []]
    described = objective + "".join(f" + {term}" for term in terms)
    described += f" + {smoothing} SmoothBlock" if smoothing != "none" else ""
    # As in the published code it plays the same role, where a group keeps the two apart.
    played = objective.removesuffix("_legacy") if config.get("group") else objective
    known = ROLES.get((played, smoothing, "+".join(terms)))
    arm = config.get("arm")
    if arm is not None and (known is None or known[0] != arm):
        return str(arm), described
    return known or (named or described, described)


def _short(run: Run) -> str:
    """The run's folder without the usual `runs/`; its own name where the report's folder is the run itself."""
    short = run.folder.removeprefix("runs/")
    return run.path.resolve().name if short in {"", "."} else short


def _natural(path: Path) -> list[tuple[int, str]]:
    """Sort key that puts seed-2 before seed-10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", str(path))]
