"""Fashion-MNIST: the places, the idx files, the download, and the error that names all four ways."""

import gzip
import importlib
import struct
from urllib.error import URLError

import numpy as np
import pytest
import torch

from pellucid.data import fashion_mnist
from pellucid.data.object_mask import object_mask
from pellucid.errors import BadInput, RunFailed

module = importlib.import_module("pellucid.data.fashion_mnist")  # the name in the package is the function


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def write_idx_files(folder, *, packed: bool, seed: int = 0, count: int = 12) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    arrays = {}
    folder.mkdir(parents=True, exist_ok=True)
    for prefix in ("train", "t10k"):
        arrays[f"{prefix}-images-idx3-ubyte"] = random.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        arrays[f"{prefix}-labels-idx1-ubyte"] = random.integers(0, 10, count, dtype=np.uint8)
    for name, array in arrays.items():
        path = folder / (f"{name}.gz" if packed else name)
        path.write_bytes(gzip.compress(idx(array)) if packed else idx(array))
    return arrays


@pytest.fixture(autouse=True)
def _no_debian(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "DEBIAN", tmp_path / "no-such-package")


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("place", [".", "fashion-mnist", "FashionMNIST/raw"])
def test_places_and_packing(tmp_path, place, packed):
    arrays = write_idx_files(tmp_path / place, packed=packed)
    for split, prefix in (("train", "train"), ("test", "t10k")):
        data = fashion_mnist(tmp_path, split)
        np.testing.assert_array_equal(data.images[:, 0].numpy(), arrays[f"{prefix}-images-idx3-ubyte"])
        np.testing.assert_array_equal(data.labels.numpy(), arrays[f"{prefix}-labels-idx1-ubyte"])
        assert (data.name, data.split, data.channels, data.image_size) == ("fashion-mnist", split, 1, 28)
        assert data.ids.tolist() == list(range(12))


def test_idx_reader_against_torchvision(tmp_path):
    from torchvision.datasets import FashionMNIST
    from torchvision.datasets.mnist import read_image_file, read_label_file

    write_idx_files(tmp_path, packed=False)
    images, labels = tmp_path / "train-images-idx3-ubyte", tmp_path / "train-labels-idx1-ubyte"
    data = fashion_mnist(tmp_path)
    assert data.images[:, 0].equal(read_image_file(str(images)))
    assert data.labels.equal(read_label_file(str(labels)))
    assert list(data.classes) == FashionMNIST.classes


def test_environment_then_debian_and_explicit_root_alone(tmp_path, monkeypatch):
    for seed, name in enumerate(("explicit", "environment", "debian")):
        write_idx_files(tmp_path / name, packed=True, seed=seed)
    (tmp_path / "empty").mkdir()

    def first_pixel(root=None):
        return fashion_mnist(root).digest()

    explicit, environment, debian = (first_pixel(tmp_path / n) for n in ("explicit", "environment", "debian"))
    assert len({explicit, environment, debian}) == 3
    monkeypatch.setattr(module, "DEBIAN", tmp_path / "debian")
    assert first_pixel() == debian
    monkeypatch.setenv("PELLUCID_DATA", str(tmp_path / "empty"))
    assert first_pixel() == debian
    monkeypatch.setenv("PELLUCID_DATA", str(tmp_path / "environment"))
    assert first_pixel() == environment
    assert first_pixel(tmp_path / "explicit") == explicit
    with pytest.raises(BadInput, match="empty"):  # a mistyped root must not silently give other data
        first_pixel(tmp_path / "empty")


@pytest.mark.parametrize("given", [True, False])
def test_error_names_all_four_ways(tmp_path, given):
    with pytest.raises(BadInput) as caught:
        fashion_mnist(tmp_path if given else None)
    message = str(caught.value)
    for way in ("--data-root", "$PELLUCID_DATA", "Debian's package dataset-fashion-mnist", "torchvision download"):
        assert way in message
    assert str(tmp_path if given else module.DEBIAN) in message
    assert "\n" not in message


def test_nothing_is_downloaded_unless_asked(tmp_path, monkeypatch):
    from torchvision.datasets import FashionMNIST

    asked = []

    def download(self):
        asked.append(self.root)
        write_idx_files(tmp_path / "FashionMNIST" / "raw", packed=False)

    monkeypatch.setattr(FashionMNIST, "download", download)
    with pytest.raises(BadInput):
        fashion_mnist(tmp_path)
    with pytest.raises(BadInput, match="--data-root"):  # there is no place to put it
        fashion_mnist(download=True)
    assert not asked
    assert len(fashion_mnist(tmp_path, download=True)) == 12
    assert len(fashion_mnist(tmp_path, download=True)) == 12
    assert asked == [str(tmp_path)]


def test_failed_download(tmp_path, monkeypatch):
    from torchvision.datasets import FashionMNIST

    for error in (URLError("no network"), RuntimeError("Error downloading:\nTried a mirror, got:\nno network")):

        def download(self, error=error):
            raise error

        monkeypatch.setattr(FashionMNIST, "download", download)
        with pytest.raises(
            RunFailed, match=f"could not download Fashion-MNIST into {tmp_path}: .*no network"
        ) as caught:
            fashion_mnist(tmp_path, download=True)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: len(content) // 2],
        lambda content: content[:10],
        lambda content: b"",
        lambda content: content[:40] + bytes([content[40] ^ 255]) + content[41:],
        lambda content: content[:10] + b"\xff" * 20 + content[30:],
        lambda content: b"not gzip at all",
    ],
)
@pytest.mark.parametrize("stem", ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"])
def test_damaged_gzip(tmp_path, damage, stem):
    write_idx_files(tmp_path, packed=True, count=100)
    path = tmp_path / f"{stem}.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(BadInput, match=f"{path} is damaged"):
        fashion_mnist(tmp_path)
    assert len(fashion_mnist(tmp_path, "test")) == 100


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-1],
        lambda content: content + b"\0",
        lambda content: content[:7],
        lambda content: b"\0\0\x0d" + content[3:],
        lambda content: content[:4] + b"\xff\xff\xff\xff" + content[8:],
    ],
)
@pytest.mark.parametrize("stem", ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"])
def test_damaged_plain_file(tmp_path, damage, stem):
    write_idx_files(tmp_path, packed=False)
    path = tmp_path / stem
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(BadInput, match=f"{path} is damaged"):
        fashion_mnist(tmp_path)


@pytest.mark.parametrize(
    ("images", "labels", "seen"),
    [
        (np.zeros((3, 28, 28)), np.zeros(4), "4 labels"),
        (np.zeros((3, 32, 28)), np.zeros(3), r"\[3, 32, 28\]"),
        (np.zeros((3, 28, 28)), np.array([0, 1, 10]), "up to 10"),
        (np.zeros((0, 28, 28)), np.zeros(0), "0 labels"),
    ],
)
def test_files_of_something_else(tmp_path, images, labels, seen):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(images.astype(np.uint8)))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(labels.astype(np.uint8)))
    with pytest.raises(BadInput, match=f"train-images-idx3-ubyte .*{seen}"):
        fashion_mnist(tmp_path)


def test_garments_as_attention(tmp_path):
    write_idx_files(tmp_path, packed=False)
    data = fashion_mnist(tmp_path, attention="garment")
    assert torch.equal(data.attention, object_mask(data.images))
    assert fashion_mnist(tmp_path).attention is None
