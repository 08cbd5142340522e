"""Imagenette in the layouts that exist."""

import pytest
import torch

from pellucid.data import imagenette
from pellucid.errors import BadInput

WORDNET_IDS = ("n01440764", "n03394916", "n03888257")


@pytest.mark.parametrize(
    ("place", "size"),
    [
        ("imagenette2-160", "160"),
        ("imagenette2-320", "320"),
        ("imagenette2", "full"),
        ("imagenette", "full"),
        ("imagenette160-subset", "160"),
        (".", "160"),
        (".", "full"),
    ],
)
def test_layouts(make_tree, tmp_path, place, size):
    make_tree(tmp_path / "data" / place, classes=WORDNET_IDS, test="val", size=(40, 30))
    train = imagenette(tmp_path / "data", size=size, image_size=16)
    test = imagenette(tmp_path / "data", "test", size=size, image_size=16)
    assert train.images.shape == test.images.shape == (9, 3, 16, 16)
    assert train.classes == ("tench", "French horn", "parachute")
    assert train.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert train.digest() != test.digest()
    assert (test.name, test.split) == ("imagenette", "test")


def test_class_names_against_torchvision():
    from torchvision.datasets import Imagenette

    from pellucid.data.imagenette import CLASS_OF_WORDNET_ID

    theirs = {wordnet_id: names[0] for wordnet_id, names in Imagenette._WNID_TO_CLASS.items()}
    assert theirs == CLASS_OF_WORDNET_ID


def test_sizes_are_not_confused(make_tree, tmp_path):
    make_tree(tmp_path / "imagenette2-160", classes=WORDNET_IDS, test="val", per_class=1)
    make_tree(tmp_path / "imagenette2", classes=WORDNET_IDS, test="val", per_class=2)
    assert len(imagenette(tmp_path, size="160", image_size=8)) == 3
    assert len(imagenette(tmp_path, size="full", image_size=8)) == 6
    with pytest.raises(BadInput, match="found no Imagenette of size 320 .*imagenette2-320/train"):
        imagenette(tmp_path, size="320", image_size=8)
    with pytest.raises(BadInput, match="of size 320"):
        imagenette(tmp_path / "imagenette2-160", size="320", image_size=8)


def test_torchvision_name_comes_first(make_tree, tmp_path):
    make_tree(tmp_path / "imagenette-160", classes=WORDNET_IDS, test="val", per_class=1)
    make_tree(tmp_path / "imagenette2-160", classes=WORDNET_IDS, test="val", per_class=2)
    assert len(imagenette(tmp_path, image_size=8)) == 6


def test_grey_photographs_become_rgb(make_tree, save, tmp_path):
    root = make_tree(tmp_path, classes=WORDNET_IDS, test="val")
    save(root / "train" / "n01440764" / "0.png", mode="L")
    first = imagenette(root, image_size=8).images[0]
    assert torch.equal(first[0], first[1])
    assert torch.equal(first[0], first[2])


def test_wrong_input(make_tree, tmp_path):
    with pytest.raises(BadInput, match=r"neither --data-root nor \$PELLUCID_DATA"):
        imagenette()
    with pytest.raises(BadInput, match="unknown size of Imagenette '240'"):
        imagenette(tmp_path, size="240")
    make_tree(tmp_path / "imagenette2-160", classes=WORDNET_IDS, test="val", size=(30, 30))
    bad = tmp_path / "imagenette2-160" / "val" / "n03888257" / "2.png"
    bad.write_bytes(bad.read_bytes()[:500])
    with pytest.raises(BadInput, match=f"cannot read the image {bad}"):
        imagenette(tmp_path, "test", image_size=8)


@pytest.mark.slow
def test_real_copy(real_data):
    if not any(real_data.glob("imagenette*160*")):
        pytest.skip("no Imagenette of size 160: set PELLUCID_DATA to a folder that holds a copy")
    train, test = imagenette(real_data, image_size=64), imagenette(real_data, "test", image_size=64)
    assert len(train.classes) == 10
    assert "golf ball" in train.classes
    assert train.classes == test.classes
    assert train.images.shape[1:] == test.images.shape[1:] == (3, 64, 64)
    assert torch.bincount(train.labels).min() > 0
    mean = train.images.double().mean((0, 2, 3)) / 255
    assert mean.tolist() == pytest.approx([0.46, 0.46, 0.43], abs=0.03)  # of photographs in general
