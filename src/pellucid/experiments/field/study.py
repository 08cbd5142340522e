"""The whole 2-D study as a folder of finished blocks; the same call again goes on where it stopped."""

import io
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor

from pellucid.data.points import Points
from pellucid.errors import BadInput, RunFailed
from pellucid.experiments.field.config import FieldConfig, bound, check_field
from pellucid.experiments.field.networks import Networks, field, initial_networks
from pellucid.experiments.field.problems import Problem, make_problem, stacked
from pellucid.experiments.field.scores import Scores, as_lists, outlier_dependence, score, twin_fields
from pellucid.experiments.field.training import fit
from pellucid.experiments.train import differences, remove_leftovers
from pellucid.files import read_yaml, write_atomic, write_json
from pellucid.randomness import generator
from pellucid.training.progress import Reporter

CONFIG, BLOCKS = "config.yaml", "blocks"
PICTURE_CELLS, PICTURE_ARROWS = 120, 21
"""Points a side of the pictures' decision regions, and of their arrows."""


@dataclass(frozen=True)
class Block:
    """One set with one corruption: what is trained, scored and written at a time."""

    problem: str
    kind: str
    rate: float

    @property
    def name(self) -> str:
        """moons-clean, moons-flips-0.1, …: the stem of the block's files."""
        return f"{self.problem}-{self.kind}" + (f"-{self.rate:g}" if self.rate else "")

    @property
    def clean(self) -> "Block":
        """The block whose networks are the twins without outliers."""
        return Block(self.problem, "clean", 0.0)


def run_study(config: FieldConfig, directory: Path) -> int:
    """Train and score every block of the study that `directory` does not hold yet.

    Blocks run side by side, one a thread, as many as PyTorch may use threads (OMP_NUM_THREADS).

    Returns
    -------
    How many blocks were computed now; 0 if the study was finished.

    Raises
    ------
    BadInput
        If `directory` holds something else, or a study of another config (the keys that differ are named).
    RunFailed
        If a training diverges; finished blocks are kept.
    """
    _check_folder(config, directory)
    write_atomic(directory / CONFIG, yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))
    missing = [block for block in blocks(config) if not _scores_file(directory, block).exists()]
    title = directory.name or "field"
    with Reporter(title, sum(_steps(config, block) for block in missing)) as reporter:
        reporter.say(f"{title}: {len(missing)} blocks to compute" if missing else f"{title}: already computed")
        _compute(config, directory, missing, reporter)
    return len(missing)


def blocks(config: FieldConfig) -> list[Block]:
    """Every block, those without corruption first, since the others are compared with them."""
    clean = [Block(name, "clean", 0.0) for name in config.sets]
    return clean + [Block(n, kind, rate) for n in config.sets for kind in config.corruptions for rate in config.rates]


def methods_at(config: FieldConfig, block: Block) -> list[str]:
    """The methods that are trained in this block."""
    return [name for name, one in config.methods.items() if one.rates is None or block.rate in one.rates]


def compute_block(
    config: FieldConfig, problem: Problem, block: Block, directory: Path, after_step: Callable[[], None] = lambda: None
) -> None:
    """Train and score all methods of a block at all seeds, and write its pictures and then its numbers."""
    train = problem.corrupted(block.kind, block.rate)
    results: dict[str, Any] = {}
    arrays = _points(train[0])
    without = None if block.kind == "clean" else _read_arrays(_arrays_file(directory, block.clean))
    for name in methods_at(config, block):
        networks = _trained(config, problem, block, name, train, after_step)
        scores = score(networks, problem, train)
        if without is None:
            target, twin = twin_fields(networks, problem)
            arrays |= {f"twin:{name}": twin.numpy(), f"target:{name}": target.to(torch.int8).numpy()}
        elif f"twin:{name}" in without:
            scores |= _dependence(networks, problem, train, without, name)
        arrays |= _picture(networks, problem, name)
        results[name] = as_lists(scores)
    write_atomic(_arrays_file(directory, block), _npz(arrays))
    write_json(
        _scores_file(directory, block),
        {"set": block.problem, "kind": block.kind, "rate": block.rate, "seeds": problem.seeds, "methods": results},
    )


def _compute(config: FieldConfig, directory: Path, missing: Sequence[Block], reporter: Reporter) -> None:
    lock, stop = threading.Lock(), threading.Event()

    def after_step() -> None:
        if stop.is_set():
            raise RunFailed("stopped; the same command continues with the blocks that are missing")
        with lock:
            reporter.tick(1)

    @cache
    def problem(name: str) -> Problem:
        return make_problem(name, range(config.seeds), train_points=config.train_points, test_points=config.test_points)

    for name in {block.problem for block in missing}:
        problem(name)
    with _one_thread_each() as workers, ThreadPoolExecutor(workers) as pool:
        for together in ([b for b in missing if b.kind == "clean"], [b for b in missing if b.kind != "clean"]):
            jobs = {
                pool.submit(compute_block, config, problem(b.problem), b, directory, after_step): b for b in together
            }
            try:
                for job in as_completed(jobs):
                    job.result()
                    reporter.say(f"{reporter.title}  {jobs[job].name} done")
            except BaseException:
                stop.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise


@contextmanager
def _one_thread_each() -> Iterator[int]:
    """Gives the number of workers; inside, each matrix product runs on one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield before
    finally:
        torch.set_num_threads(before)


def _trained(
    config: FieldConfig,
    problem: Problem,
    block: Block,
    name: str,
    train: Sequence[Points],
    after_step: Callable[[], None],
) -> Networks:
    networks = initial_networks(
        problem.seeds,
        classes=problem.classes,
        width=config.network.width,
        activation=config.network.activation,
    )
    # The noise is the same at every corruption, so that twins differ by the outliers only.
    draws = [generator("field", problem.name, "noise", seed) for seed in problem.seeds]
    x, y = stacked([points.x for points in train]).float(), stacked([points.y for points in train])
    try:
        fit(
            networks,
            bound(config.methods[name]),
            x,
            y,
            generators=draws,
            steps=config.training.steps,
            lr=config.training.lr,
            after_step=after_step,
        )
    except RunFailed as error:
        raise RunFailed(f"{block.name}, {name}: {error}") from error
    return networks


def _dependence(
    networks: Networks, problem: Problem, train: Sequence[Points], without: Mapping[str, Any], name: str
) -> Scores:
    target = torch.from_numpy(without[f"target:{name}"]).long()
    _, fields = twin_fields(networks, problem, target)
    return outlier_dependence(fields, torch.from_numpy(without[f"twin:{name}"]), problem, train)


@torch.no_grad()
def _picture(networks: Networks, problem: Problem, name: str) -> dict[str, Any]:
    """Predicted classes and gradients of the first seed's network on two grids around its points."""
    first = Networks([weight[:1] for weight in networks.weights], networks.activation)
    arrays: dict[str, Any] = {}
    for kind, side in (("regions", PICTURE_CELLS), ("arrows", PICTURE_ARROWS)):
        axes = _picture_axes(problem, side)
        z, g = field(first, torch.cartesian_prod(*axes)[None].float())
        arrays |= {f"{kind}:x": axes[0].numpy(), f"{kind}:y": axes[1].numpy()}
        if kind == "regions":
            arrays[f"regions:{name}"] = z[0].argmax(1).view(side, side).T.to(torch.int8).numpy()
        else:
            arrays[f"arrows:{name}"] = g[0].view(side, side, 2).transpose(0, 1).numpy()
    return arrays


def _picture_axes(problem: Problem, side: int) -> list[Tensor]:
    x = problem.train[0].x
    margin = 0.25 * (x.amax(0) - x.amin(0)).max()
    ends = zip((x.amin(0) - margin).tolist(), (x.amax(0) + margin).tolist(), strict=True)
    return [torch.linspace(low, high, side, dtype=torch.float64) for low, high in ends]


def _points(train: Points) -> dict[str, Any]:
    return {"x": train.x.numpy(), "y": train.y.numpy(), "corrupted": train.corrupted.numpy()}


def _check_folder(config: FieldConfig, directory: Path) -> None:
    """Refuse a file, a folder with other things, or a study of another config."""
    if directory.exists() and not directory.is_dir():
        raise BadInput(f"{directory} is a file; --out must name a folder")
    if not (directory / CONFIG).exists():
        others = [path.name for path in directory.glob("[!.]*")]
        if others:
            raise BadInput(f"{directory} is not empty ({others[0]}, …) and holds no field study; choose another --out")
        return
    raw = read_yaml(directory / CONFIG)
    if not isinstance(raw, dict) or "sets" not in raw:
        raise BadInput(f"{directory} holds a config.yaml that is not of a field study; choose another --out")
    differing = differences(check_field(raw).model_dump(mode="json"), config.model_dump(mode="json"))
    if differing:
        raise BadInput(f"{directory} holds a study of another config ({', '.join(differing)}); choose another --out")
    for folder in (directory, directory / BLOCKS):
        remove_leftovers(folder)


def _steps(config: FieldConfig, block: Block) -> int:
    return len(methods_at(config, block)) * config.training.steps


def _scores_file(directory: Path, block: Block) -> Path:
    return directory / BLOCKS / f"{block.name}.json"


def _arrays_file(directory: Path, block: Block) -> Path:
    return directory / BLOCKS / f"{block.name}.npz"


def _npz(arrays: Mapping[str, Any]) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def _read_arrays(path: Path) -> dict[str, Any]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise BadInput(f"cannot read {path} ({error}); delete it and the .json beside it, then run again") from error
