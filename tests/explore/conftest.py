import pytest

from pellucid.experiments.config import check
from pellucid.experiments.train import train


@pytest.fixture(scope="session")
def run_directory(tmp_path_factory):
    """A finished run of a few steps."""
    config = {
        "arm": "N",
        "data": {"name": "fashion-mnist-mini", "validation": 100},
        "objective": "natural",
        "training": {
            "batch_size": 64,
            "max_steps": 20,
            "device": "cpu",
            "optimizer": {"name": "adam", "lr": 3e-3},
            "robust_validation": {"eps": 0.08, "steps": 2, "images": 16},
        },
    }
    folder = tmp_path_factory.mktemp("explored") / "tiny-run"
    train(check(config), folder)
    return folder
