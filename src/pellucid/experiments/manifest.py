"""What a run directory says about itself: versions, hashes, hardware, cost."""

import hashlib
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import nn

import pellucid
from pellucid.experiments.build import Splits
from pellucid.experiments.config import RunConfig, plain
from pellucid.files import file_hash
from pellucid.training.estimate import Estimate
from pellucid.training.fit import WEIGHTS, State, peak_memory

MANIFEST, CONFIG = "manifest.json", "config.yaml"
PACKAGES = ("torch", "torchvision", "lightning-fabric", "numpy", "scipy", "safetensors", "timm", "transformers")


def describe(
    config: RunConfig, splits: Splits, model: nn.Module, expected: Estimate, origin: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The manifest of a run that is about to start; `origin` is where its weights come from (None: random)."""
    return {
        "format": 1,
        "status": "running",
        "seed": config.seed,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        "code_sha256": code_hash(),
        "hardware": hardware(),
        "data": {
            "name": config.data.name,
            "train": len(splits.train),
            "validation": len(splits.validation),
            "test": len(splits.test),
            "train_sha256": splits.train.digest(),
            "test_sha256": splits.test.digest(),
            "classes": list(splits.test.classes),
            "image": list(splits.test.images.shape[1:]),
        },
        "model": {
            "name": config.model.label,
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "smoothing": plain(config)["smoothing"],
            **({"started_from": origin} if origin else {}),
        },
        "cost": {"passes_per_image": expected.passes_per_image, "expected_seconds": expected.seconds},
    }


def finished(manifest: dict[str, Any], config: RunConfig, state: State, images: int, directory: Path) -> dict[str, Any]:
    """The manifest of a run that is done; `images` is the number of training images that were processed."""
    drop = config.training.max_accuracy_drop
    chosen = {
        "clean": "clean validation accuracy",
        "robust": "robust validation accuracy",
        "last": "the last epoch",
        "trade_off": f"the best maps at no more than {drop} points below the start's clean validation accuracy",
    }
    return manifest | {
        "status": "finished",
        "weights": {
            "file": WEIGHTS,
            "sha256": file_hash(directory / WEIGHTS),
            "epoch": state.best_epoch,
            "chosen_by": chosen[config.training.choose],
        },
        "cost": manifest["cost"]
        | {
            "seconds": state.seconds,
            "images_per_second": images / state.seconds,
            "peak_memory_mb": peak_memory(),
        },
    }


def of_snapshot(manifest: dict[str, Any], rows: Sequence[Mapping[str, Any]], directory: Path) -> dict[str, Any]:
    """The manifest of a snapshot in `directory`, from that of its finished run and the run's history up to it."""
    last = rows[-1]
    weights = {"file": WEIGHTS, "sha256": file_hash(directory / WEIGHTS), "epoch": last["epoch"]}
    return manifest | {
        "snapshot": {"epoch": last["epoch"]},
        "weights": weights | {"chosen_by": "its place on the way"},
        "cost": manifest["cost"] | {"seconds": last["seconds"]},
    }


def versions() -> dict[str, str]:
    """Versions of Python, Pellucid and the libraries that decide the numbers."""
    found = {"pellucid": pellucid.__version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def hardware() -> dict[str, Any]:
    """Device, its name, and the cores this process may use."""
    if torch.cuda.is_available():
        return {"device": "cuda", "name": torch.cuda.get_device_name(), "cores": len(os.sched_getaffinity(0))}
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        models = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        name = models[0] if models else name
    return {"device": "cpu", "name": name, "cores": len(os.sched_getaffinity(0)), "threads": torch.get_num_threads()}


@cache
def code_hash() -> str:
    """SHA-256 over the package's Python files: says whether two runs were made by the same code."""
    digest = hashlib.sha256()
    root = Path(pellucid.__file__).parent
    for path in sorted(root.rglob("*.py")):
        digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
