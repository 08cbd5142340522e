"""CIFAR-10 and Imagenette end to end, where real copies exist under $PELLUCID_DATA: a few steps, measured, reported."""

import os
import tarfile
from pathlib import Path

import pytest

from test_cli import pellucid

ROOT = os.environ.get("PELLUCID_DATA")
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


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A folder with the copies under $PELLUCID_DATA: folders as they are, archives unpacked."""
    if not ROOT:
        pytest.skip("set PELLUCID_DATA to a folder with copies of cifar10 and imagenette (folders or tar archives)")
    folder = tmp_path_factory.mktemp("data")
    for path in Path(ROOT).iterdir():
        if path.is_dir():
            (folder / path.name).symlink_to(path.absolute())
        elif path.suffixes[:1] == [".tar"] or path.suffixes[-1:] == [".tar"]:
            with tarfile.open(path) as archive:
                archive.extractall(folder, filter="data")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_real_copy_trains_measures_and_reports(name, root, tmp_path):
    if not any(root.glob(f"{name}*")):
        pytest.skip(f"no copy of {name} under $PELLUCID_DATA")
    config = tmp_path / "c.yaml"
    config.write_text(
        f"data: {{name: {name}, root: {root}}}\n"
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
