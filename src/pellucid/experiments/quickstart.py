"""The main job: N, A, G and P on the embedded images, with one recipe and one seed, measured and reported."""

from pathlib import Path
from typing import Any

from pellucid.experiments.config import check
from pellucid.experiments.measure import MeasureSettings, Robustness, measure
from pellucid.experiments.train import train

RECIPE: dict[str, Any] = {
    "data": {"name": "fashion-mnist-mini", "validation": 1000},
    "model": {"name": "lenet"},
    "training": {
        "epochs": 8,
        "batch_size": 128,
        "optimizer": {"name": "adam", "lr": 3e-3},
        "schedule": "one_cycle",
        "robust_validation": {"eps": 0.1, "steps": 10, "images": 500},
        "choose": "auto",
    },
}
ADVERSARIAL = {"name": "adversarial", "eps": 0.1, "steps": 7}
ARMS: dict[str, dict[str, Any]] = {
    "N": {"objective": "natural"},
    "A": {"objective": ADVERSARIAL},
    "G": {"objective": ADVERSARIAL, "smoothing": {"filter": "gaussian"}},
    "P": {  # configs/pellucid-robust.yaml: fewer PGD steps and an epoch less, for no more passes than A in all
        "arm": "P",
        "objective": {"name": "adversarial", "eps": 0.1, "steps": 6},
        "regularisers": [{"name": "sparse_misalignment", "weight": 1, "every": 3, "sparsity": 0.15}],
        "training": RECIPE["training"] | {"epochs": 7},
    },
}


def quickstart(out: Path, *, seed: int = 0) -> list[Path]:
    """Train and measure N, A, G and P below ``out/runs``; whatever is already done there is kept.

    Returns
    -------
    The four run directories.
    """
    directories = [out / "runs" / name for name in ARMS]
    for directory, arm in zip(directories, ARMS.values(), strict=True):
        train(check(RECIPE | arm | {"seed": seed}), directory)
    # Integrated gradients costs ten passes a map; its SSIM and ROS are left to `pellucid measure`.
    attributions = {"gradient": ("gini", "ssim", "ros", "road"), "integrated_gradients": ("gini", "road")}
    settings = MeasureSettings(
        images=400, profile="both", attributions=attributions, robustness=Robustness(images=1000)
    )
    measure(directories, settings)
    return directories
