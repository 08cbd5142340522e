"""CIFAR-10 and Imagenette end to end, where real copies exist under $PELLUCID_DATA: a few steps, measured, reported."""

import pytest

from test_cli import pellucid

TRAINING = [
    "training.max_steps=3",
    "training.batch_size=16",
    "training.robust_validation.images=4",
    "data.validation=40",
]
CASES = {
    "cifar10": ["model={name: wide_resnet, depth: 10, width: 1}", "smoothing.filter=median"],
    "imagenette": ["model={name: resnet18}", "data.image_size=64", "smoothing.filter=gaussian"],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_real_copy_trains_measures_and_reports(name, real_data, tmp_path):
    if not any(real_data.glob(f"{name}*")):
        pytest.skip(f"no copy of {name} under $PELLUCID_DATA")
    config = tmp_path / "c.yaml"
    config.write_text(
        f"data: {{name: {name}, root: {real_data}}}\n"
        "objective: {name: adversarial, eps: 0.02, steps: 2}\n"
        "training: {robust_validation: {eps: 0.02, steps: 2}}\n"
    )
    for run, changes in {"A": [], "N": ["objective={name: natural}"]}.items():
        done = pellucid(
            "train", config, *CASES[name], *TRAINING, *changes, "--out", tmp_path / "runs" / run, timeout=900
        )
        assert done.returncode == 0, done.stderr
    runs = [tmp_path / "runs" / run for run in "NA"]
    options = ["--images", 4, "--robust-images", 8, "--steps", 2, "--profile", "both"]
    done = pellucid("measure", *runs, *options, timeout=900)
    assert done.returncode == 0, done.stderr
    done = pellucid("report", tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "report" / "index.html").stat().st_size > 50_000
