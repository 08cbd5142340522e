"""A model of one's own from the first check to the auditor's page: doctor, fine-tune, measure, explain, passport."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from pellucid.cli import app

HERE = Path(__file__).parent
VIT = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64, "patch_size": 4}
MODELS = {
    "hf-vit": {"name": "hugging_face", "architecture": "vit", **VIT},
    "own": {"name": "odd_nets.Odd", "width": 8},
    "timm-vit": {"name": "timm:vit_tiny_patch16_224", "patch_size": 4, "embed_dim": 48, "depth": 2, "num_heads": 3},
    "timm-convnext": {"name": "timm:convnext_atto", "dims": [16, 32, 48, 64]},
    "tv-resnet18": {"name": "torchvision:resnet18"},
    "tv-efficientnet": {"name": "torchvision:efficientnet_b0"},
}
QUICK = ("hf-vit",)
NEEDS = {"hf": "transformers", "timm": "timm"}


def cases():
    return [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in MODELS]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Bright discs and bright bars on noise, 64 × 64 in colour."""
    root, draws = tmp_path_factory.mktemp("shapes"), np.random.default_rng(0)
    rows, columns = np.mgrid[:64, :64]
    for split, count in (("train", 60), ("test", 20)):
        for name in ("bar", "disc"):
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                x, y = draws.integers(16, 48, 2)
                shape = abs(rows - y) < 5 if name == "bar" else (rows - y) ** 2 + (columns - x) ** 2 < 144
                pixels = draws.integers(0, 80, (64, 64, 3)) + 150 * shape[..., None]
                Image.fromarray(pixels.astype("uint8")).save(root / split / name / f"{number}.png")
    return root


def pellucid(*words, code=0):
    found = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert found.exit_code == code, found.output
    return found.output


@pytest.mark.parametrize("name", cases())
def test_goes_from_the_doctor_to_the_passport(name, folder, tmp_path, monkeypatch):
    if (library := NEEDS.get(name.partition("-")[0])) is not None:
        pytest.importorskip(library)
    monkeypatch.syspath_prepend(str(HERE / "models"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delitem(sys.modules, "odd_nets", raising=False)
    large = name == "timm-convnext"  # it has no pixels left of 28
    data = {"name": "folder", "root": str(folder), "validation": 20} if large else {"name": "fashion-mnist-mini"}
    budget = {"epochs": 1, "batch_size": 20, "max_steps": 4, "optimizer": {"name": "adam", "lr": 0.002}}
    config = {"data": {"validation": 9900, **data}, "model": MODELS[name], "training": budget}
    (tmp_path / "start.yaml").write_text(yaml.safe_dump(config))
    term = {"name": "sparse_misalignment", "weight": 2, "sigma": 0.1, "sparsity": 0.3}
    (tmp_path / "tune.yaml").write_text(yaml.safe_dump({"regularisers": [term], "training": budget}))

    said = json.loads(pellucid("doctor", tmp_path / "start.yaml", "--json"))
    assert {found["status"] for found in said["findings"]} <= {"ok", "warning", "not applicable"}
    start, tuned = tmp_path / "start", tmp_path / "tuned"
    pellucid("train", tmp_path / "start.yaml", "--out", start)
    pellucid("train", tmp_path / "tune.yaml", "--from", start, "--max-accuracy-drop", 50, "--out", tuned)
    manifest = json.loads((tuned / "manifest.json").read_text())
    assert manifest["model"]["started_from"]["head"] == "kept"
    pellucid("doctor", tuned)
    few = ("--images", 4, "--robust-images", 4, "--steps", 1, "--eps", 0.05)
    pellucid("measure", tuned, *few, "--attribution", "gradient", "--metric", "gini", "--metric", "ssim")
    picture = next((folder / "test" / "disc").iterdir())
    pellucid("explain", tuned, picture, "--out", tmp_path / "maps")
    assert Image.open(tmp_path / "maps" / f"{picture.stem}.png").size[0] > 100
    pellucid("passport", tuned)
    assert manifest["weights"]["sha256"] in (tuned / "passport.html").read_text()
