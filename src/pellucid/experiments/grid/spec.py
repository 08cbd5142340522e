"""A grid file: what all cells share, the axes in which they differ, what is left out, what is measured.

.. code-block:: yaml

    base: {data: …, model: …, training: …}     # keys of a run's config
    axes:
      arm:                                     # named partial configs
        N: {objective: natural}
        G: {objective: {name: adversarial, eps: 0.1}, smoothing: {filter: gaussian}}
      seed: [0, 1, 2]                          # values of a (dotted) key of the config; seeds pair the arms
      penalty: {key: regularisers.0.weight, values: [0.1, 1]}   # the same under a name of its own
    exclude: [{arm: G, seed: 2}]               # cells with this arm and this seed
    measure: {images: 500, attributions: {gradient: [gini, ssim]}}   # null: train only
    resources: {cpus: 1, gpus: 0}              # of one cell; it computes with `cpus` threads wherever it runs
    sizes:                                     # the same grid at several budgets: partial grids, one chosen by --size
      smoke: {base: {training: {epochs: 1}}, axes: {seed: [0]}}
      paper: {base: {training: {epochs: 50}}}
    size: smoke                                # which of them runs without --size

A partial config is laid over `base` key by key; a part with another `name` than the base's replaces it whole.
"""

import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pellucid.errors import BadInput, unknown_name
from pellucid.experiments.config import override_key, read_values
from pellucid.naming import first_problem


class Resources(BaseModel):
    """What one cell takes: threads, and GPUs (more than one: the cell runs under torchrun)."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    cpus: int = Field(1, ge=1)
    gpus: int = Field(0, ge=0)


class GridSpec(BaseModel):
    """A grid file as it stands, its axes not yet multiplied. `measure` is checked by :mod:`.measuring`."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    base: dict[str, Any] = {}
    axes: dict[str, Any] = Field(min_length=1)
    exclude: list[dict[str, Any]] = []
    measure: dict[str, Any] | None = {}
    resources: Resources = Resources()


@dataclass(frozen=True)
class Point:
    """One cell before its config is checked: the label of its value on every axis, and its raw config."""

    choices: Mapping[str, str]
    raw: dict[str, Any]

    @property
    def label(self) -> str:
        """The labels in one word that can name a folder: "A-seed0"."""
        return re.sub(r"[^\w.+-]+", "-", "-".join(self.choices.values()))[:80].strip("-.") or "cell"


@dataclass(frozen=True)
class _Value:
    """One value of an axis: its label, what an exclusion may call it, and the change it makes to a config."""

    label: str
    spelt: Any
    change: Any


def read_spec(path: Path, size: str | None = None) -> GridSpec:
    """Read a grid file, at one of its sizes where it has several.

    Raises
    ------
    BadInput
        One sentence naming the file or the key, and the nearest valid key where one is misspelt.
    """
    return check_spec(read_values(path), size)


def check_spec(raw: dict[str, Any], size: str | None = None) -> GridSpec:
    """Validate a grid given as plain values. Raises BadInput as :func:`read_spec`."""
    raw = _sized(raw, size)
    for key in raw:
        if key not in GridSpec.model_fields:
            raise unknown_name("key in the grid", key, GridSpec.model_fields)
    if not raw.get("axes"):
        raise BadInput("the grid has no axes: give at least one, as in axes: {seed: [0, 1, 2]}")
    resources = raw.get("resources")
    for key in resources if isinstance(resources, dict) else ():
        if key not in Resources.model_fields:
            raise unknown_name("key in resources", key, Resources.model_fields)
    given = {key: value for key, value in raw.items() if value is not None or key == "measure"}
    try:
        return GridSpec(**given)
    except ValidationError as error:
        raise BadInput(f"grid: {first_problem(error)}") from error


def _sized(raw: dict[str, Any], size: str | None) -> dict[str, Any]:
    """The grid with one of its `sizes` laid over it."""
    sizes = raw.get("sizes") or {}
    if not isinstance(sizes, dict) or not all(isinstance(part, dict) for part in sizes.values()):
        raise BadInput("sizes must name partial grids, as in sizes: {smoke: {base: {training: {epochs: 1}}}}")
    size = size or raw.get("size")
    if size is None and sizes:
        raise BadInput(f"the grid has several sizes; choose one with --size: {', '.join(map(str, sizes))}")
    if size is not None and not sizes:
        raise BadInput(f"the grid has no sizes, so the size {size} chooses nothing; leave it out")
    if size is not None and size not in list(sizes):  # a list can be asked for anything, hashable or not
        raise unknown_name("size", size, map(str, sizes))
    one = {key: value for key, value in raw.items() if key not in {"sizes", "size"}}
    sized: dict[str, Any] = laid_over(one, sizes[size]) if size is not None else one
    return sized


def points(spec: GridSpec) -> list[Point]:
    """The product of the axes without the excluded cells; the last axis runs fastest.

    Raises
    ------
    BadInput
        If an axis is empty or cannot be read, or an exclusion names what does not exist, so that it matches no cell.
    """
    axes = {name: _values(name, axis) for name, axis in spec.axes.items()}
    excluded = [_checked_exclusion(exclusion, axes) for exclusion in spec.exclude]
    found = []
    for chosen in product(*axes.values()):
        spelt = dict(zip(axes, (value.spelt for value in chosen), strict=True))
        if not any(all(spelt[axis] == one[axis] for axis in one) for one in excluded):
            labels = dict(zip(axes, (value.label for value in chosen), strict=True))
            found.append(Point(labels, _configured(spec.base, chosen)))
    if not found:
        raise BadInput("the exclusions leave no cell; remove one of them")
    return found


def laid_over(base: Any, change: Any) -> Any:
    """A config with a partial one laid over it; neither is touched."""
    if isinstance(base, str) and isinstance(change, dict):  # shorthand: objective: natural
        base = {"name": base}
    replaces = isinstance(base, dict) and isinstance(change, dict) and change.get("name", base.get("name"))
    if not (isinstance(base, dict) and isinstance(change, dict)) or replaces != base.get("name"):
        return deepcopy(change)
    both = {key: laid_over(value, change[key]) if key in change else deepcopy(value) for key, value in base.items()}
    return both | {key: deepcopy(value) for key, value in change.items() if key not in base}


def _configured(base: dict[str, Any], chosen: Sequence[_Value]) -> dict[str, Any]:
    raw = deepcopy(base)
    for value in chosen:
        raw = value.change(raw)
    return raw


def _values(name: str, axis: Any) -> list[_Value]:
    if isinstance(axis, list):
        return _keyed(name, name, axis)
    if isinstance(axis, dict) and "values" in axis:
        for key in axis:
            if key not in {"key", "values"}:
                raise unknown_name(f"key in the axis '{name}'", key, ("key", "values"))
        return _keyed(name, str(axis.get("key", name)), axis["values"])
    if not isinstance(axis, dict):
        raise BadInput(f"the axis '{name}' must be a list of values or named partial configs; it is {axis!r}")
    if not axis:
        raise BadInput(f"the axis '{name}' is empty; give it a value or remove it")
    for label, part in axis.items():
        if not isinstance(part, dict | None):
            raise BadInput(f"'{label}' of the axis '{name}' must be a partial config (keys and values), not {part!r}")
    return [_Value(str(label), label, partial(_overlay, change=part or {})) for label, part in axis.items()]


def _keyed(name: str, key: str, values: Any) -> list[_Value]:
    if not isinstance(values, list):
        raise BadInput(f"the values of the axis '{name}' must be a list, not {values!r}")
    if not values:
        raise BadInput(f"the axis '{name}' is empty; give it a value or remove it")
    return [_Value(_label(name, value), value, partial(_set, key=key, value=value)) for value in values]


def _overlay(raw: dict[str, Any], change: dict[str, Any]) -> Any:
    return laid_over(raw, change)


def _set(raw: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    override_key(raw, f"{key}={yaml.safe_dump(value, default_flow_style=True, width=1_000_000)}")
    return raw


def _label(axis: str, value: Any) -> str:
    """For a number "seed0", for a word the word itself, for what has a `name` that name."""
    if isinstance(value, dict) and "name" in value:
        value = value["name"]
    word = axis.rpartition(".")[2]
    return value if isinstance(value, str) else f"{word}{'none' if value is None else value}"


def _checked_exclusion(exclusion: dict[str, Any], axes: Mapping[str, list[_Value]]) -> dict[str, Any]:
    if not exclusion:
        raise BadInput("an exclusion is empty; name values of the axes, as in exclude: [{seed: 2}]")
    for axis, wanted in exclusion.items():
        if axis not in axes:
            raise unknown_name("axis in exclude", axis, axes)
        spelt = [value.spelt for value in axes[axis]]
        if wanted not in spelt:
            raise unknown_name(f"value of the axis '{axis}' in exclude", wanted, map(str, spelt))
    return exclusion
