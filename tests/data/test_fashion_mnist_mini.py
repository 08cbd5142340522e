"""The embedded data set: balance, sizes, licence, damage, and that it is what its script makes of the original."""

import gzip
import importlib
import importlib.util
import io
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from pellucid.data import fashion_mnist_mini
from pellucid.data.object_mask import object_mask
from pellucid.errors import BadInput

module = importlib.import_module("pellucid.data.fashion_mnist_mini")  # the name in the package is the function
DEBIAN = Path("/usr/share/datasets/fashion-mnist")
original = pytest.mark.skipif(not DEBIAN.is_dir(), reason="Debian's package dataset-fashion-mnist is not installed")


@pytest.fixture(scope="module")
def both():
    return {split: fashion_mnist_mini(split=split) for split in ("train", "test")}


def test_sizes_and_balance(both):
    for split, per_class in (("train", 1000), ("test", 200)):
        data = both[split]
        assert data.images.shape == (10 * per_class, 1, 28, 28)
        assert torch.bincount(data.labels).tolist() == [per_class] * 10
        assert data.ids.tolist() == list(range(10 * per_class))
        assert (data.name, data.split) == ("fashion-mnist-mini", split)
        assert data.labels[:100].unique().numel() == 10, "classes are mixed, as in the original"


def test_no_image_twice_and_none_on_both_sides(both):
    train = {image.tobytes() for image in both["train"].images.numpy()}
    test = {image.tobytes() for image in both["test"].images.numpy()}
    assert not train & test
    for split in ("train", "test"):
        indices = module.original_indices(split)
        assert indices.unique().numel() == indices.numel() == len(both[split])


def test_embedded_files_are_small_and_licensed():
    folder = Path(str(module.FILE)).parent
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 7_000_000
    licence = (folder / "FASHION-MNIST-LICENSE.txt").read_text()
    for words in ("MIT License", "Copyright (c) 2017 Zalando SE, https://tech.zalando.com", 'PROVIDED "AS IS"'):
        assert words in licence


def test_nothing_is_unpickled(monkeypatch):
    monkeypatch.setattr(pickle, "load", lambda *_, **__: pytest.fail("unpickled"))
    monkeypatch.setattr(pickle, "loads", lambda *_, **__: pytest.fail("unpickled"))
    assert len(fashion_mnist_mini(split="test")) == 2000


@pytest.mark.parametrize(
    "damage",
    [lambda content: content[:-1], lambda content: content[:9000] + b"\0" + content[9001:], lambda content: b""],
)
def test_damaged_file_is_noticed(tmp_path, monkeypatch, damage):
    copy = tmp_path / "copy.npz"
    copy.write_bytes(damage(module.FILE.read_bytes()))
    monkeypatch.setattr(module, "FILE", copy)
    with pytest.raises(BadInput, match=f"{copy} is damaged .*install pellucid again"):
        fashion_mnist_mini()
    copy.unlink()
    with pytest.raises(BadInput, match=f"{copy} cannot be read"):
        fashion_mnist_mini()


@original
@pytest.mark.parametrize(("split", "prefix"), [("train", "train"), ("test", "t10k")])
def test_images_are_those_of_the_original(both, split, prefix):
    raw = gzip.decompress((DEBIAN / f"{prefix}-images-idx3-ubyte.gz").read_bytes())
    images = np.frombuffer(raw, np.uint8, offset=16).reshape(-1, 28, 28)
    raw = gzip.decompress((DEBIAN / f"{prefix}-labels-idx1-ubyte.gz").read_bytes())
    labels = np.frombuffer(raw, np.uint8, offset=8)
    indices = module.original_indices(split).numpy()
    np.testing.assert_array_equal(both[split].images[:, 0].numpy(), images[indices])
    np.testing.assert_array_equal(both[split].labels.numpy(), labels[indices])


@original
def test_the_script_makes_the_embedded_arrays():
    path = Path(__file__).parents[2] / "scripts" / "embed_fashion_mnist.py"
    specification = importlib.util.spec_from_file_location("embed_fashion_mnist", path)
    script = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(script)
    made, embedded = np.load(io.BytesIO(script.build(DEBIAN))), np.load(io.BytesIO(module.FILE.read_bytes()))
    assert set(made.files) == set(embedded.files)
    for name in made.files:  # arrays, not bytes: another zlib packs them otherwise
        np.testing.assert_array_equal(made[name], embedded[name])


def test_garments_as_attention(both):
    data = fashion_mnist_mini(split="test", attention="garment")
    assert torch.equal(data.attention, object_mask(data.images))
    assert torch.equal(data.images, both["test"].images)
    assert both["test"].attention is None
    assert 0.4 < (data.attention > 0).double().mean() < 0.55
