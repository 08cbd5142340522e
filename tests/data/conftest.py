"""Small made-up data sets on disk, and a clean environment."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(autouse=True)
def _no_data_root(request, monkeypatch):
    """Only the tests on real copies (marked slow) may see the machine's own data."""
    if "slow" not in request.keywords:
        monkeypatch.delenv("PELLUCID_DATA", raising=False)


def picture(seed: int, *, size: tuple[int, int] = (12, 10), mode: str = "RGB") -> Image.Image:
    """A picture of (width, height) that differs for each seed."""
    bands = len(Image.new(mode, (1, 1)).getbands())
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], bands), dtype=np.uint8)
    return Image.fromarray(pixels.squeeze(2) if bands == 1 else pixels, mode)


@pytest.fixture
def save():
    """``save(path, seed, size=…, mode=…)`` writes a picture and gives it back."""

    def save(path: Path, seed: int = 0, **kind) -> Image.Image:
        path.parent.mkdir(parents=True, exist_ok=True)
        image = picture(seed, **kind)
        image.save(path)
        return image

    return save


@pytest.fixture
def make_tree(save):
    """``make_tree(root, classes=…, per_class=…, test=…, size=…, mode=…)`` writes a tree of class folders of PNGs."""

    def make_tree(root: Path, *, classes=("cat", "dog"), per_class: int = 3, test: str = "test", **kind) -> Path:
        for split in ("train", test):
            for label, name in enumerate(classes):
                for number in range(per_class):
                    seed = 1000 * label + number + (500 if split == test else 0)
                    save(root / split / name / f"{number}.png", seed, **kind)
        return root

    return make_tree
