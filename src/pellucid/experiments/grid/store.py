"""The folder of a grid. Imports no torch, so that looking at a grid is instant.

``grid.json`` lists the present cells; ``runs/<cell>`` is a cell's run directory; ``cells/<cell>`` holds its baton (who
works on it), its log and, if it failed, why. Cells of an earlier version of the grid file stay where they are.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pellucid.errors import BadInput
from pellucid.files import read_json, write_json

GRID = "grid.json"
MEASURING = "measuring"
"""The cell-like job that measures the trained cells."""


@dataclass(frozen=True)
class Cell:
    """One run of a grid.

    Attributes
    ----------
    name
        Of its folder: label and the first 8 digits of the identity.
    identity
        SHA-256 of its config, its data and the version of Pellucid (:func:`.cells.identity_of`).
    choices
        The label of its value on every axis.
    config
        The resolved config as plain values.
    steps
        Optimiser steps of the whole run.
    setting
        Data, test images and architecture: cells that share them are measured on the same images.
    """

    name: str
    identity: str
    choices: Mapping[str, str]
    config: dict[str, Any]
    steps: int
    setting: str


@dataclass(frozen=True)
class Grid:
    """The present cells of a grid in the folder `directory`, what to measure (None: nothing), what a cell takes."""

    directory: Path
    cells: tuple[Cell, ...]
    measure: dict[str, Any] | None
    cpus: int = 1
    gpus: int = 0

    def run(self, name: str) -> Path:
        """The run directory of a cell."""
        return self.directory / "runs" / name

    def place(self, name: str) -> Path:
        """Where baton, log and failure of a cell lie."""
        return self.directory / "cells" / name

    def log(self, name: str) -> Path:
        """What the cell said while it ran, with the traceback if it failed."""
        return self.place(name) / "log.txt"

    def failure(self, name: str) -> Path:
        """Why the cell failed; absent unless it did."""
        return self.place(name) / "failed.json"

    def failed(self, name: str) -> bool:
        """Whether the cell failed and has not been retried since."""
        return self.failure(name).exists()

    def reason(self, name: str) -> str:
        """Why the cell failed, in one sentence."""
        return str(_mapping(self.failure(name)).get("reason", "its log says why"))

    def manifest(self, name: str) -> dict[str, Any]:
        """What the cell's run says of itself; empty before it has begun."""
        path = self.run(name) / "manifest.json"
        return _mapping(path) if path.exists() else {}

    def trained(self, name: str) -> bool:
        """Whether the cell's run is finished."""
        return self.manifest(name).get("status") == "finished"

    def write(self) -> None:
        """Write ``grid.json``. Raises RunFailed if the folder cannot be written."""
        write_json(
            self.directory / GRID,
            {
                "format": 1,
                "measure": self.measure,
                "resources": {"cpus": self.cpus, "gpus": self.gpus},
                "cells": [asdict(cell) for cell in self.cells],
            },
        )

    def write_failure(self, name: str, reason: str) -> None:
        """Note in one sentence why a cell failed."""
        write_json(self.failure(name), {"reason": reason})


def _mapping(path: Path) -> dict[str, Any]:
    found = read_json(path)
    if not isinstance(found, dict):
        raise BadInput(f"{path} is damaged: it holds no keys and values")
    return found


def read_grid(directory: Path) -> Grid:
    """The grid in a folder. Raises BadInput if there is none."""
    path = directory / GRID
    if not path.exists():
        raise BadInput(
            f"{directory} holds no grid (no {GRID}); make one with pellucid grid CONFIG.yaml --out {directory}"
        )
    found = read_json(path)
    try:
        cells = tuple(Cell(**cell) for cell in found["cells"])
        return Grid(directory, cells, found["measure"], **found["resources"])
    except (TypeError, KeyError, AttributeError) as error:
        raise BadInput(
            f"{path} is damaged or of another version ({error}); run pellucid grid CONFIG.yaml again"
        ) from error
