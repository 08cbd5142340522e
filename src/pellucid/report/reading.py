"""Checked readers: what a run directory holds becomes numpy arrays, and what is wrong with it becomes one sentence."""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from pellucid.errors import BadInput
from pellucid.files import read_json, read_json_lines, read_yaml

Floats: TypeAlias = npt.NDArray[np.float64]
Ids: TypeAlias = npt.NDArray[np.int64]


def read_mapping(path: Path, required: Mapping[str, type | tuple[type, ...]]) -> dict[str, Any]:
    """A JSON or YAML object in which every dotted key of `required` exists and has the given type.

    Raises
    ------
    BadInput
        With the path and the key.
    """
    value = read_yaml(path) if path.suffix == ".yaml" else read_json(path)
    if not isinstance(value, dict):
        raise BadInput(f"{path} is damaged: it should hold one object, not {type(value).__name__}")
    for key, kind in required.items():
        found = lookup(value, key)
        if not isinstance(found, kind):
            state = "is missing" if found is None else f"is {found!r:.40}"
            raise BadInput(f"{path} is damaged or not a Pellucid file: the key '{key}' {state}")
    return value


def lookup(value: Any, dotted: str) -> Any:
    """`value["a"]["b"]` for "a.b", None where a level is missing."""
    for key in dotted.split("."):
        if not isinstance(value, Mapping) or key not in value:
            return None
        value = value[key]
    return value


def read_columns(path: Path, required: Sequence[str]) -> dict[str, Floats]:
    """JSON lines of equal keys as columns of float64: [n], or [n, levels] for lists; null becomes NaN.

    Raises
    ------
    BadInput
        With the path, if it is empty, a required key is missing, rows differ in their keys, or an entry is no number.
    """
    rows = read_json_lines(path)
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise BadInput(f"{path} is damaged: it should hold one object a line, and at least one")
    keys = rows[0].keys()
    for number, row in enumerate(rows, start=1):
        if row.keys() != keys:
            odd = ", ".join(sorted(row.keys() ^ keys))
            raise BadInput(f"{path} is damaged in line {number}: its keys differ from the first line's in {odd}")
    missing = [key for key in required if key not in keys]
    if missing:
        raise BadInput(f"{path} is damaged or not a Pellucid file: no column '{missing[0]}'")
    return {key: _column([row[key] for row in rows], f"{path}, column '{key}'") for key in keys}


def _column(entries: list[Any], where: str) -> Floats:
    if any(isinstance(entry, str) for entry in entries):
        raise BadInput(f"{where} is damaged: it holds text where numbers belong")
    try:
        return np.array(entries, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise BadInput(f"{where} is damaged: it should hold numbers, or lists of equal length") from error


def identifiers(column: Floats, where: str) -> Ids:
    """A column as unique int64 identifiers. Raises BadInput naming `where` otherwise."""
    if column.ndim != 1 or not np.all(np.isfinite(column)) or len(np.unique(column)) != len(column):
        raise BadInput(f"{where} is damaged: the column 'id' must name every image once")
    return column.astype(np.int64)


def read_arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Every array of an .npz file, without ever unpickling. Raises BadInput with the path if it is damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise BadInput(f"{path} is damaged: it does not hold numpy arrays ({error})") from error
