import pytest

from pellucid.experiments import measure as measuring
from pellucid.experiments.config import check
from pellucid.experiments.train import train

CONFIG = {
    "arm": "A",
    "data": {"name": "fashion-mnist-mini", "validation": 64},
    "smoothing": {"filter": "gaussian"},
    "objective": {"name": "adversarial", "eps": 0.05, "steps": 1},
    "training": {
        "batch_size": 32,
        "max_steps": 20,
        "device": "cpu",
        "robust_validation": {"eps": 0.05, "steps": 1, "images": 8},
    },
}


@pytest.fixture(scope="session")
def measured_run(tmp_path_factory):
    """A LeNet with a SmoothBlock after 20 small steps, measured on 8 images. Read only."""
    directory = tmp_path_factory.mktemp("runs") / "A-0"
    train(check(CONFIG), directory)
    attack = {"eps": 0.05, "steps": 1, "restarts": 1, "images": 16}
    settings = measuring.make_settings(
        images=8, profile="clean", attributions=["gradient"], metrics=["gini", "ssim"], attack=attack, seed=0
    )
    measuring.measure([directory], settings)
    return directory
