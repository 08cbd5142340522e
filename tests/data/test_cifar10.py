"""CIFAR-10 from a tree, from torchvision's batches, and what is said when neither is right."""

import hashlib
import pickle
import shutil

import numpy as np
import pytest
import torch

from pellucid.data import cifar10
from pellucid.errors import BadInput

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@pytest.fixture
def batches(tmp_path, monkeypatch):
    """Batches in the format of CIFAR-10 with 20 images each, and torchvision expecting their MD5 sums."""
    from torchvision.datasets import CIFAR10

    random = np.random.default_rng(0)
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    contents = {}

    def write(name, value):
        (folder / name).write_bytes(pickle.dumps(value))
        return [name, hashlib.md5((folder / name).read_bytes()).hexdigest()]

    def batch(name):
        contents[name] = {"data": random.integers(0, 256, (20, 3072), dtype=np.uint8), "labels": [*range(10)] * 2}
        return write(name, contents[name])

    monkeypatch.setattr(CIFAR10, "train_list", [batch("data_batch_1"), batch("data_batch_2")])
    monkeypatch.setattr(CIFAR10, "test_list", [batch("test_batch")])
    name, md5 = write("batches.meta", {"label_names": list(CLASSES)})
    monkeypatch.setattr(CIFAR10, "meta", {"filename": name, "key": "label_names", "md5": md5})
    return contents


def test_batches(batches, tmp_path):
    train, test = cifar10(tmp_path), cifar10(tmp_path, "test")
    stored = np.concatenate([batches["data_batch_1"]["data"], batches["data_batch_2"]["data"]])
    np.testing.assert_array_equal(train.images.numpy(), stored.reshape(40, 3, 32, 32))  # stored as channel, row, column
    np.testing.assert_array_equal(test.images.numpy(), batches["test_batch"]["data"].reshape(20, 3, 32, 32))
    assert train.labels.tolist() == [*range(10)] * 4
    assert train.ids.tolist() == list(range(40))
    assert train.classes == test.classes == CLASSES
    assert train.images.is_contiguous()


@pytest.mark.parametrize("name", ["data_batch_2", "test_batch", "batches.meta"])
def test_damaged_batch_is_named_and_never_unpickled(batches, tmp_path, name, monkeypatch):
    path = tmp_path / "cifar-10-batches-py" / name
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    monkeypatch.setattr(pickle, "load", lambda *_, **__: pytest.fail("unpickled"))
    with pytest.raises(BadInput, match=f"{path} is damaged"):
        cifar10(tmp_path)
    path.unlink()
    with pytest.raises(BadInput, match=f"{path} is missing"):
        cifar10(tmp_path)


def test_foreign_batch_is_refused_with_the_published_checksums(tmp_path):
    (tmp_path / "cifar-10-batches-py").mkdir()
    (tmp_path / "cifar-10-batches-py" / "data_batch_1").write_bytes(pickle.dumps({"data": [], "labels": []}))
    with pytest.raises(BadInput, match="data_batch_1 is damaged"):
        cifar10(tmp_path)


@pytest.mark.parametrize("place", ["cifar10", "cifar10-jpeg", "."])
def test_tree(make_tree, tmp_path, place):
    make_tree(tmp_path / place, classes=CLASSES, per_class=2, size=(32, 32))
    data = cifar10(tmp_path, "test")
    assert data.images.shape == (20, 3, 32, 32)
    assert data.labels.tolist() == sorted([*range(10)] * 2)
    assert data.classes == CLASSES
    assert (data.name, data.split) == ("cifar10", "test")


def test_batches_come_before_a_tree(batches, make_tree, tmp_path):
    make_tree(tmp_path / "cifar10", classes=CLASSES, per_class=1, size=(32, 32))
    assert len(cifar10(tmp_path)) == 40


def test_grey_image_in_a_tree_becomes_colour(make_tree, save, tmp_path):
    make_tree(tmp_path, classes=CLASSES, per_class=2, size=(32, 32))
    save(tmp_path / "train" / "cat" / "0.png", size=(32, 32), mode="L")
    assert cifar10(tmp_path).channels == 3


def test_tree_without_a_class(make_tree, tmp_path):
    make_tree(tmp_path / "cifar10", classes=CLASSES, per_class=1, size=(32, 32))
    shutil.rmtree(tmp_path / "cifar10" / "test" / "ship")
    for split in ("train", "test"):
        with pytest.raises(BadInput, match=f"{tmp_path / 'cifar10' / 'test'} must hold .* ship"):
            cifar10(tmp_path, split)


def test_tree_of_another_size(make_tree, tmp_path):
    make_tree(tmp_path, classes=CLASSES, per_class=1, size=(28, 32))
    with pytest.raises(BadInput, match="28 × 32 pixels; those of CIFAR-10 have 32 × 32"):
        cifar10(tmp_path)


def test_nothing_there(tmp_path):
    with pytest.raises(BadInput, match=f"found no CIFAR-10 under {tmp_path}.*cifar-10-batches-py.*train/<class>"):
        cifar10(tmp_path)
    with pytest.raises(BadInput, match=r"neither --data-root nor \$PELLUCID_DATA"):
        cifar10()


@pytest.mark.slow
def test_real_copy(real_data):
    if not any((real_data / name).is_dir() for name in ("cifar10", "cifar10-jpeg", "cifar-10-batches-py")):
        pytest.skip("no CIFAR-10: set PELLUCID_DATA to a folder that holds a copy")
    train, test = cifar10(real_data, "train"), cifar10(real_data, "test")
    assert (train.images.shape, test.images.shape) == ((50_000, 3, 32, 32), (10_000, 3, 32, 32))
    assert torch.bincount(train.labels).tolist() == [5_000] * 10
    assert torch.bincount(test.labels).tolist() == [1_000] * 10
    mean = train.images.double().mean((0, 2, 3)) / 255
    assert mean.tolist() == pytest.approx([0.4914, 0.4822, 0.4465], abs=2e-3)  # the published channel means
