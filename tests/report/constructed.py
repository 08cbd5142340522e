"""Runs made in memory with chosen values, so that every verdict can be forced."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.stats import norm

from pellucid.report.runs import Columns, Run

IMAGES = 100
NOISE = [0.05, 0.1]
LEVELS = 20
_Z = np.random.default_rng(0).permutation(norm.ppf((np.arange(IMAGES) + 0.5) / IMAGES))  # mean exactly 0, sd about 1

OBJECTIVE = {"N": "natural"}
FILTER = {"G": "gaussian", "M1": "mean", "M2": "median"}


def spread(mean: float, sd: float = 0.0) -> np.ndarray:
    """One number an image: the mean is exact, the difference to `spread(other)` has the given spread."""
    return mean + sd * _Z


def first(count: int, of: int = 1000) -> np.ndarray:
    """0/1 values of which the first `count` are 1."""
    return (np.arange(of) < count).astype(float)


def road(kept: float, swing: int = 0) -> np.ndarray:
    """Images that survive `kept` of the 20 levels on average, alternately `swing` more and fewer."""
    survived = np.floor(kept + (kept % 1 > np.arange(IMAGES) / IMAGES)) + swing * np.where(np.arange(IMAGES) % 2, 1, -1)
    return (np.arange(LEVELS) < survived[:, None]).astype(float)


def seeds_of(arm: str, by_seed: list[dict[str, np.ndarray]], **config) -> list[Run]:
    """Runs of one arm of a grid, one for each dictionary of columns, with seeds 0, 1, …"""
    found = [run(arm, seed=seed, **values) for seed, values in enumerate(by_seed)]
    named = [replace(one, name=f"{arm}-seed{seed}") for seed, one in enumerate(found)]
    return [replace(one, config={**one.config, "arm": arm, "seed": one.seed, **config}) for one in named]


def run(role: str, *, seed: int = 0, layer: str | None = None, **values: np.ndarray) -> Run:
    """A run of a role with per-image columns for the gradient; `correct`, `predicted`, … go to the accuracy."""
    accuracy = {key: values.pop(key) for key in ("correct", "robust", "label", "predicted") if key in values}
    accuracy = accuracy or {"correct": first(900)}
    layer = layer or ("pool1" if role in FILTER else None)
    name = f"{role}-{seed}-{layer}"
    return Run(
        path=Path(name),
        name=name if seed else role,
        folder=name,
        role=role,
        meaning=role,
        config={"objective": {"name": OBJECTIVE.get(role, "adversarial")}, "smoothing": {"after": layer}},
        manifest={
            "seed": seed,
            "data": {"name": "made", "test_sha256": "0", "classes": ["a", "b"]},
            "model": {"name": "lenet"},
            "weights": {},
            "cost": {},
        },
        history=(),
        measurement={
            "images": {"asked": IMAGES, "measured": IMAGES, "candidates": IMAGES, "dropped": {}, "compared": []},
            "robustness": {},
            "attributions": {"gradient": {}},
            "ssim_noise": NOISE,
            "road_percentages": list(range(1, 100, 5)),
        },
        accuracy=Columns(np.arange(len(next(iter(accuracy.values())))), accuracy),
        attributions={"gradient": Columns(np.arange(IMAGES), values)} if values else {},
        examples=None,
    )
