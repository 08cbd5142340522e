"""A grid small enough for tests, and workers that are no processes of their own."""

import copy
import json
import os
import signal

import torch

from pellucid.experiments.grid.run import planned, prepare, run, shard
from pellucid.experiments.grid.spec import check_spec
from pellucid.experiments.grid.work import run_cells, run_measuring

SPEC = {
    "base": {
        "data": {"name": "fashion-mnist-mini", "validation": 100},
        "training": {
            "batch_size": 64,
            "max_steps": 12,
            "device": "cpu",
            "optimizer": {"name": "adam", "lr": 3e-3},
            "robust_validation": {"eps": 0.1, "steps": 2, "images": 16},
            "checkpoint_seconds": 0.001,
        },
    },
    "axes": {
        "arm": {"N": {"objective": "natural"}, "F": {"objective": {"name": "fast_adversarial", "eps": 0.05}}},
        "seed": [0, 1],
    },
    "measure": {"images": 6, "attributions": {"gradient": ["gini"]}, "robustness": {"steps": 2, "images": 12}},
}


class HereAndNow:
    """Cells one after the other in this process."""

    def __init__(self, grid):
        self.grid = grid

    def train(self, names, tick):
        threads = torch.get_num_threads()
        run_cells(self.grid, names)
        assert torch.get_num_threads() == threads
        tick()

    def measure(self, tick):
        run_measuring(self.grid)
        tick()


def spec(**changes):
    return check_spec(copy.deepcopy(SPEC) | changes)


def ready(grid_spec, out):
    """The grid, planned and with its folder written."""
    grid = planned(grid_spec, out)
    prepare(grid)
    return grid


def finish(grid, part=None):
    return run(grid, shard(grid, part), HereAndNow(grid), lambda: None)


def numbers(folder):
    """All per-image numbers and weights of a grid's runs."""
    found = {}
    for path in sorted((folder / "runs").glob("*/measurements/*.jsonl")):
        found[f"{path.parts[-3]}/{path.name}"] = path.read_text()
    for path in sorted((folder / "runs").glob("*/manifest.json")):
        found[path.parts[-2]] = json.loads(path.read_text())["weights"]["sha256"]
    return found


def deadly(model, x, y, *, generator):
    """An objective that takes its whole process with it, as running out of memory would."""
    os.kill(os.getpid(), signal.SIGKILL)
