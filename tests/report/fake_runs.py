"""Synthetic run directories in the exact format that `pellucid measure` writes: plausible shapes, made-up numbers.

Run it to look at a report without training anything:  python tests/report/fake_runs.py OUT && pellucid report OUT
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import yaml

CLASSES = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]
NOISE = [0.01, 0.03, 0.05, 0.07, 0.09, 0.1, 0.15, 0.2]
ATTRIBUTIONS = ["gradient", "integrated_gradients"]
REMOVED = list(range(1, 100, 5))

# accuracy, robust accuracy, Gini, SSIM at no noise and its slope, ROS, how fast ROAD falls, map scale, seconds
ARMS: dict[str, dict[str, float]] = {
    "N": {
        "natural": 0.88,
        "robust": 0.03,
        "gini": 0.52,
        "slope": 4.0,
        "ros": 9.0,
        "road": 1.5,
        "scale": 1.6,
        "time": 21,
    },
    "A": {
        "natural": 0.76,
        "robust": 0.58,
        "gini": 0.66,
        "slope": 2.6,
        "ros": 6.0,
        "road": 2.0,
        "scale": 0.12,
        "time": 137,
    },
    "G": {
        "natural": 0.75,
        "robust": 0.58,
        "gini": 0.657,
        "slope": 2.5,
        "ros": 5.2,
        "road": 2.1,
        "scale": 0.10,
        "time": 151,
    },
    "M1": {
        "natural": 0.75,
        "robust": 0.57,
        "gini": 0.655,
        "slope": 2.5,
        "ros": 5.3,
        "road": 2.1,
        "scale": 0.1,
        "time": 150,
    },
    "M2": {
        "natural": 0.74,
        "robust": 0.57,
        "gini": 0.64,
        "slope": 2.4,
        "ros": 6.9,
        "road": 2.0,
        "scale": 0.1,
        "time": 190,
    },
}
FILTERS = {"N": None, "A": None, "G": "gaussian", "M1": "mean", "M2": "median"}


def write_runs(
    out: Path,
    arms: tuple[str, ...] = ("N", "A", "G"),
    *,
    seed: int = 0,
    images: int = 120,
    classes: list[str] | None = None,
) -> Path:
    """OUT/runs/<arm> for each arm; returns OUT."""
    for arm in arms:
        write_run(out / "runs" / arm, arm, seed=seed, images=images, compared=arms, classes=classes or CLASSES)
    return out


def write_grid(
    out: Path, arms: tuple[str, ...] = ("N", "A", "G"), *, seeds: int = 3, images: int = 40, group: str | None = None
) -> Path:
    """OUT/runs/<arm>-seed<seed>, as a grid leaves them: the configs name their arm; returns OUT."""
    names = tuple(f"{arm}-seed{seed}" for arm in arms for seed in range(seeds))
    for arm in arms:
        for seed in range(seeds):
            name = f"{arm}-seed{seed}" + (f"-{group}" if group else "")
            path = write_run(out / "runs" / name, arm, seed=seed, images=images, compared=names)
            config = yaml.safe_load((path / "config.yaml").read_text()) | {"arm": arm, "group": group}
            (path / "config.yaml").write_text(yaml.safe_dump(config))
    return out


def write_run(
    path: Path,
    arm: str,
    *,
    seed: int = 0,
    images: int = 120,
    compared: tuple[str, ...] = ("N", "A", "G"),
    classes: list[str] = CLASSES,
    after: str = "pool1",
) -> Path:
    """One finished and measured run with the numbers of `arm`."""
    numbers, rng = ARMS[arm], np.random.default_rng([seed, *arm.encode()])
    folder = path / "measurements"
    folder.mkdir(parents=True)
    (path / "config.yaml").write_text(yaml.safe_dump(_config(arm, seed, after)))
    _json(path / "manifest.json", _manifest(arm, numbers, seed, classes, after))
    (path / "weights.safetensors").write_bytes(b"not weights: this run is synthetic")
    _lines(path / "history.jsonl", _history(arm, numbers))
    _json(folder / "measurement.json", _measurement(images, compared))
    _lines(folder / "accuracy.jsonl", _accuracy(numbers, rng))
    difficulty = np.random.default_rng(seed).normal(size=images)  # shared by the arms: images differ in difficulty
    for attribution in ATTRIBUTIONS:
        _lines(folder / f"{attribution}.jsonl", _maps(attribution, numbers, difficulty, rng))
    np.savez(folder / "examples.npz", **_examples(arm, numbers, rng))
    return path


def _config(arm: str, seed: int, after: str) -> dict[str, Any]:
    natural = arm == "N"
    attack = {"eps": 0.1, "norm": "linf", "step_size": 0.025, "steps": 7}
    return {
        "data": {"name": "fashion-mnist-mini", "root": None, "validation": 1000},
        "model": {"name": "lenet"},
        "smoothing": {"filter": FILTERS[arm], "after": after, "sigma": "feature"} if FILTERS[arm] else None,
        "objective": {"name": "natural"} if natural else {"name": "adversarial", **attack},
        "training": {
            "epochs": 12,
            "batch_size": 128,
            "optimizer": {"name": "adam", "lr": 0.003},
            "schedule": {"name": "one_cycle"},
        },
        "seed": seed,
    }


def _manifest(arm: str, numbers: dict[str, float], seed: int, classes: list[str], after: str) -> dict[str, Any]:
    smoothing = {"filter": FILTERS[arm], "after": after, "sigma": "feature"} if FILTERS[arm] else None
    return {
        "format": 1,
        "status": "finished",
        "seed": seed,
        "created": "2026-01-01T00:00:00+00:00",
        "versions": {"pellucid": "0.0.0-synthetic", "torch": "2.0.0", "python": "3.11.0", "numpy": "2.0.0"},
        "code_sha256": _digest("code"),
        "hardware": {"device": "cpu", "cores": 2, "name": "synthetic"},
        "data": {
            "name": "fashion-mnist-mini",
            "train": 9000,
            "validation": 1000,
            "test": 2000,
            "train_sha256": _digest("train"),
            "test_sha256": _digest("test"),
            "classes": classes,
            "image": [1, 28, 28],
        },
        "model": {"name": "lenet", "parameters": 44426 + (42 if smoothing else 0), "smoothing": smoothing},
        "weights": {
            "file": "weights.safetensors",
            "sha256": _digest(f"{arm}{seed}"),
            "epoch": 11,
            "chosen_by": "validation accuracy" if arm == "N" else "robust validation accuracy",
        },
        "cost": {
            "seconds": numbers["time"],
            "images_per_second": 12 * 9000 / numbers["time"],
            "passes_per_image": 1 if arm == "N" else 8,
            "peak_memory_mb": 590.0 + numbers["time"] / 10,
        },
    }


def _history(arm: str, numbers: dict[str, float]) -> list[dict[str, Any]]:
    rows = []
    for epoch in range(1, 13):
        rise = 1 - np.exp(-epoch / 3)
        loss = 2.3 - (1.9 if arm == "N" else 1.1) * rise
        rows.append(
            {
                "epoch": epoch,
                "step": 71 * epoch,
                "loss": loss,
                "parts": {"cross_entropy": loss},
                "learning_rate": 0.003 * (1 - epoch / 13),
                "clean_accuracy": 0.1 + (numbers["natural"] - 0.1) * rise,
                "robust_accuracy": None if arm == "N" else 0.1 + (numbers["robust"] - 0.1) * rise,
                "seconds": numbers["time"] / 12,
            }
        )
    return rows


def _measurement(images: int, compared: tuple[str, ...]) -> dict[str, Any]:
    return {
        "format": 1,
        "profile": "both",
        "seed": 0,
        "seconds": 41.2,
        "images": {
            "asked": images,
            "measured": images,
            "candidates": 2000,
            "ids_sha256": _digest("ids"),
            "compared": list(compared),
            "dropped": {"misclassified by at least one compared model": 712},
        },
        "robustness": {"norm": "linf", "eps": 0.1, "step_size": 0.025, "steps": 20, "restarts": 1, "images": 2000},
        "attributions": {name: {"metrics": ["gini", "ssim", "ros", "road"]} for name in ATTRIBUTIONS},
        "ssim_noise": NOISE,
        "road_percentages": REMOVED,
        "ros_draws": {"ros_norm": 16, "ros_quantus": 5},
    }


def _accuracy(numbers: dict[str, float], rng: np.random.Generator) -> list[dict[str, Any]]:
    correct = rng.random(2000) < numbers["natural"]
    robust = correct & (rng.random(2000) < numbers["robust"] / numbers["natural"])
    rows = []
    for index in range(2000):
        label = index % 10
        predicted = label if correct[index] else (label + 1) % 10
        rows.append(
            {
                "id": index,
                "label": label,
                "predicted": predicted,
                "correct": bool(correct[index]),
                "robust": bool(robust[index]),
            }
        )
    return rows


def _maps(
    attribution: str, numbers: dict[str, float], difficulty: np.ndarray, rng: np.random.Generator
) -> list[dict[str, Any]]:
    return [_map_row(attribution, numbers, hard, 3 * index, rng) for index, hard in enumerate(difficulty)]


def _map_row(
    attribution: str, numbers: dict[str, float], hard: float, image: int, rng: np.random.Generator
) -> dict[str, Any]:
    noise, signed = np.array(NOISE), attribution != "gradient"
    gini = np.clip(numbers["gini"] + (0.12 if signed else 0) + 0.04 * hard + 0.02 * rng.normal(), 0, 0.99)
    ssim = np.clip(np.exp(-noise * (numbers["slope"] + 0.4 * hard)) * 0.95 + 0.02 * rng.normal(size=8), -1, 1)
    scale = numbers["scale"] * np.exp(0.3 * hard + 0.2 * rng.normal())
    legacy = 1 - (1 - ssim) * min(1.0, 0.5 * scale)
    flipped = rng.random(8) < noise * 0.3
    gone = rng.random() < 0.08  # every draw of the published ROS must keep the prediction
    top = np.minimum(1, np.exp(numbers["ros"] / 4 + 0.8 * rng.normal(size=2)))
    fall, chance = (rng.exponential(100 / (3 * rate)) for rate in (numbers["road"], numbers["road"] * 0.55))

    def hidden(values: np.ndarray) -> list[float | None]:
        return [None if flip else round(float(value), 5) for value, flip in zip(values, flipped, strict=True)]

    row: dict[str, Any] = {
        "id": image,
        "label": image % 10,
        "scale": float(scale),
        "zero_map": False,
        "ties": float(np.clip(0.1 + 0.02 * rng.normal(), 0, 1)),
        "gini": float(gini),
        "gini_all_entries": float(gini),
        "gini_legacy": float(gini - 1e-3),
        "ssim": hidden(ssim),
        "spearman": hidden(ssim * 0.95),
        "cosine": hidden(ssim * 0.98),
        "ssim_legacy": hidden(legacy),
        "ros_norm": float(numbers["ros"] * np.exp(0.3 * hard + 0.2 * rng.normal())),
        "ros_norm_numerator": float(0.4 * np.exp(0.2 * rng.normal())),
        "ros_norm_denominator": float(0.4 / numbers["ros"]),
        "ros_norm_valid_draws": int(rng.integers(12, 17)),
        "ros_quantus": None if gone else float(10 ** (numbers["ros"] / 4 + 0.6 * rng.normal())),
        "ros_quantus_numerator": None if gone else float(30 * top[0]),
        "ros_quantus_denominator": None if gone else float(numbers["scale"]),
        "ros_quantus_valid_draws": 3 if gone else 5,
        "road": [bool(percent < fall) for percent in REMOVED],
        "road_legacy": [bool(percent < fall * 1.05) for percent in REMOVED],
    }
    if not signed:
        row["road_random"] = [bool(percent < chance * 2) for percent in REMOVED]  # depends on no attribution
        row["gini_centred"] = float(gini - 0.01)
    return row


def _examples(arm: str, numbers: dict[str, float], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Four garment-like silhouettes, with maps that follow their outline more or less cleanly."""
    rows, columns = np.mgrid[:28, :28] / 27.0
    shapes = [
        (np.abs(columns - 0.5) < 0.25 + 0.2 * (rows < 0.35)) & (rows > 0.1) & (rows < 0.95),
        (np.abs(np.abs(columns - 0.5) - 0.15) < 0.1) & (rows > 0.05),
        (columns - 0.5) ** 2 + (rows - 0.6) ** 2 < 0.12,
        (rows > 0.45) & (rows < 0.45 + 0.4 * columns + 0.1) & (columns > 0.05),
    ]
    images = np.stack([shape * (0.55 + 0.35 * np.sin(9 * columns + k)) for k, shape in enumerate(shapes)])[:, None]
    edge = np.stack([np.hypot(*np.gradient(image[0])) for image in images])
    clutter = 0.5 if arm == "N" else 0.06
    gradient = numbers["scale"] * np.abs(edge + clutter * rng.normal(size=edge.shape) * 0.4)
    signed = images[:, 0] * numbers["scale"] * (edge - 0.3 * edge.mean() + clutter * 0.4 * rng.normal(size=edge.shape))
    arrays = {
        "ids": np.arange(4) * 3,
        "labels": np.array([0, 1, 8, 7]),
        "images": images.astype(np.float32).clip(0, 1),
        "map:gradient": gradient.astype(np.float32),
        "map:integrated_gradients": signed.astype(np.float32),
    }
    if FILTERS[arm]:
        before = np.maximum(0, np.stack([np.roll(images[0, 0, ::2, ::2], k, axis=k % 2) * (1 + k) for k in range(6)]))
        before = before + 0.2 * rng.random(before.shape)
        blurred = sum(np.roll(before, (i, j), (1, 2)) for i in (-1, 0, 1) for j in (-1, 0, 1)) / 9
        arrays |= {
            "features:before": before.astype(np.float32),
            "features:after": (before + 0.6 * blurred).astype(np.float32),
        }
    return arrays


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value))


def _lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


if __name__ == "__main__":
    write_runs(Path(sys.argv[1]), images=1000)
