"""Finished runs from elsewhere in place of cells that would train the same again."""

import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from pellucid.errors import BadInput
from pellucid.experiments.build import load_splits
from pellucid.experiments.config import NAMES, RunConfig, check, nameless, plain
from pellucid.experiments.grid.baton import holding
from pellucid.experiments.grid.store import Cell, Grid
from pellucid.experiments.manifest import CONFIG, MANIFEST, versions
from pellucid.experiments.train import read_run
from pellucid.files import read_json, read_yaml, write_atomic
from pellucid.training.fit import WEIGHTS
from pellucid.training.snapshots import SNAPSHOTS


def reuse(grid: Grid, folders: Sequence[Path]) -> list[str]:
    """Fill unfinished cells with finished runs found below `folders` (of grids or single ones).

    A run serves if its config, its training, validation and test images, and the version of Pellucid are the cell's;
    what arm and group are called is the cell's business. Its files are hard-linked, or copied where they lie on another
    disk.

    Returns
    -------
    The names of the filled cells.
    """
    wanted: dict[str, list[Cell]] = {}
    for cell in grid.cells:
        if not grid.trained(cell.name):
            wanted.setdefault(_key(check(cell.config)), []).append(cell)
    filled: list[str] = []
    for manifest in (path for folder in folders for path in _manifests(folder)):
        run = manifest.parent
        if not wanted or run.resolve().is_relative_to(grid.directory.resolve()):
            continue
        found = read_json(manifest)
        if not _finished_by_this_release(found):
            continue
        cells = wanted.pop(key := _key(read_run(run)[0]), [])
        left = [
            cell for cell in cells if not (_same_data(check(cell.config), found["data"]) and _fill(grid, cell, run))
        ]
        filled += [cell.name for cell in cells if cell not in left]
        wanted |= {key: left} if left else {}
    return filled


def _manifests(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise BadInput(f"--reuse {folder}: there is no such folder")
    return sorted(path for path in folder.rglob(MANIFEST) if path.parent.parent.name != SNAPSHOTS)


def _finished_by_this_release(manifest: Any) -> bool:
    """False for other programs' files of that name, too."""
    try:
        return bool((manifest["status"], manifest["versions"]["pellucid"]) == ("finished", versions()["pellucid"]))
    except (KeyError, TypeError):
        return False


def _key(config: RunConfig) -> str:
    raw = plain(nameless(config))
    raw["data"].pop("root")
    return json.dumps(raw, sort_keys=True)


def _same_data(config: RunConfig, data: dict[str, str]) -> bool:
    splits = load_splits(config)
    return (splits.train.digest(), splits.test.digest()) == (data["train_sha256"], data["test_sha256"])


def _fill(grid: Grid, cell: Cell, run: Path) -> bool:
    """Put the run in the cell's place by one rename; False if somebody trains the cell, or the run has no weights."""
    target = grid.run(cell.name)
    target.parent.mkdir(exist_ok=True)
    with holding(grid.place(cell.name), lost=lambda: None) as mine:
        if not mine or not (run / WEIGHTS).exists():
            return False
        new = Path(tempfile.mkdtemp(prefix=".new-", dir=target.parent))
        for path in (*run.iterdir(), *run.glob(f"{SNAPSHOTS}/*/*")):
            if path.is_file() and not path.name.startswith("."):
                _link(path, new / path.relative_to(run))
        for path in new.rglob(CONFIG):
            _rename(path, check(cell.config))
        new.chmod(0o755)
        shutil.rmtree(target, ignore_errors=True)
        new.rename(target)
    return True


def _rename(path: Path, cell: RunConfig) -> None:
    """Give a run's config the cell's names for arm and group; the file is replaced, as others may be linked to it."""
    raw = read_yaml(path)
    names = {key: getattr(cell, key) for key in NAMES}
    if any(raw.get(key) != name for key, name in names.items()):
        write_atomic(path, yaml.safe_dump(raw | names, sort_keys=False, allow_unicode=True))


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another disk
        shutil.copy2(source, target)
