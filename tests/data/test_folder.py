"""Trees of class folders as a user may have them."""

import numpy as np
import pytest
import torch
from PIL import Image

from pellucid.data import folder
from pellucid.errors import BadInput


def test_classes_labels_order_and_pixels(make_tree, tmp_path):
    root = make_tree(tmp_path, classes=("zebra", "ant", "Yak"))
    for split in ("train", "test"):
        data = folder(root, split)
        assert (data.name, data.split) == ("folder", split)
        assert data.classes == ("Yak", "ant", "zebra")  # sorted by code point: the same on every machine
        assert data.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
        assert data.ids.tolist() == list(range(9))
        for position, (name, number) in enumerate((n, i) for n in data.classes for i in range(3)):
            stored = np.moveaxis(np.asarray(Image.open(root / split / name / f"{number}.png")), 2, 0)
            np.testing.assert_array_equal(data.images[position].numpy(), stored)


def test_val_serves_as_test(make_tree, tmp_path):
    root = make_tree(tmp_path, test="val")
    assert len(folder(root, "test")) == 6
    assert folder(root, "test").digest() != folder(root, "train").digest()


def test_test_comes_before_val(make_tree, save, tmp_path):
    root = make_tree(tmp_path)
    save(root / "val" / "cat" / "0.png")
    save(root / "val" / "dog" / "0.png")
    assert len(folder(root, "test")) == 6


def test_root_from_the_environment_and_explicit_root_first(make_tree, tmp_path, monkeypatch):
    make_tree(tmp_path / "a", per_class=1)
    make_tree(tmp_path / "b", per_class=2)
    monkeypatch.setenv("PELLUCID_DATA", str(tmp_path / "a"))
    assert len(folder()) == 2
    assert len(folder(tmp_path / "b")) == 4


def test_no_root_at_all():
    with pytest.raises(BadInput, match=r"neither --data-root nor \$PELLUCID_DATA"):
        folder()


def test_folder_that_is_not_there(tmp_path, monkeypatch):
    with pytest.raises(BadInput, match="--data-root names .*gone, which is not a folder"):
        folder(tmp_path / "gone")
    monkeypatch.setenv("PELLUCID_DATA", str(tmp_path / "gone"))
    with pytest.raises(BadInput, match=r"\$PELLUCID_DATA names .*gone"):
        folder()


def test_missing_halves(make_tree, save, tmp_path):
    with pytest.raises(BadInput, match=f"{tmp_path} has no folder 'train'"):
        folder(tmp_path)
    save(tmp_path / "train" / "cat" / "0.png")
    with pytest.raises(BadInput, match="neither a folder 'test' nor 'val'"):
        folder(tmp_path)


def test_images_without_class_folders(make_tree, save, tmp_path):
    save(tmp_path / "train" / "0.png")
    save(tmp_path / "test" / "0.png")
    with pytest.raises(BadInput, match="train holds no class folders"):
        folder(tmp_path)


@pytest.mark.parametrize("leftover", [None, "notes.txt", ".hidden.png"])
def test_empty_class_folder(make_tree, tmp_path, leftover):
    root = make_tree(tmp_path)
    for split in ("train", "test"):
        (root / split / "emu").mkdir()
        if leftover:
            (root / split / "emu" / leftover).write_text("")
    with pytest.raises(BadInput, match=f"class folder {root / 'train' / 'emu'} holds no images"):
        folder(root, "train")
    with pytest.raises(BadInput, match=f"class folder {root / 'test' / 'emu'} holds no images"):
        folder(root, "test")


@pytest.mark.parametrize(("where", "other"), [("train", "test"), ("test", "train")])
def test_class_on_one_side_only(make_tree, save, tmp_path, where, other):
    root = make_tree(tmp_path)
    save(root / where / "emu" / "0.png")
    for split in ("train", "test"):  # wrong labels would come of it in either split
        with pytest.raises(BadInput, match=f"{root / where / 'emu'} has no counterpart {root / other / 'emu'}"):
            folder(root, split)


def test_truncated_and_false_images_are_named(make_tree, tmp_path):
    root = make_tree(tmp_path, size=(40, 40))
    bad = root / "train" / "dog" / "1.png"
    bad.write_bytes(bad.read_bytes()[:-1000])
    with pytest.raises(BadInput, match=f"cannot read the image {bad}"):
        folder(root)
    bad.unlink()
    false = root / "train" / "dog" / "text.jpg"
    false.write_text("not a picture")
    with pytest.raises(BadInput, match=f"cannot read the image {false}"):
        folder(root)
    assert len(folder(root, "test")) == 6, "the other split does not suffer"


def test_mixed_channels_and_the_advice_works(make_tree, save, tmp_path):
    root = make_tree(tmp_path)
    save(root / "train" / "dog" / "1.png", mode="L")
    with pytest.raises(BadInput, match=f"{root / 'train' / 'dog' / '1.png'} is grey .*set channels to grey or rgb"):
        folder(root)
    assert folder(root, channels="grey").channels == 1
    assert folder(root, channels="rgb").channels == 3


def test_mixed_sizes_and_the_advice_works(make_tree, save, tmp_path):
    root = make_tree(tmp_path, size=(12, 12))
    save(root / "train" / "dog" / "1.png", size=(20, 12))
    with pytest.raises(BadInput, match=f"{root / 'train' / 'dog' / '1.png'} has 20 × 12 pixels.*set image_size"):
        folder(root)
    assert folder(root, image_size=8).image_size == 8


def test_names_in_any_alphabet(make_tree, save, tmp_path):
    root = make_tree(tmp_path / "données ☃", classes=("犬", "été", "a b"))
    save(root / "train" / "犬" / "ß “x”.PNG", 9)
    data = folder(root)
    assert data.classes == ("a b", "été", "犬")
    assert data.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 2]


def test_name_that_is_no_text(make_tree, tmp_path):
    root = make_tree(tmp_path)
    try:
        (root / "train" / "caf\udce9").mkdir()
    except OSError:
        pytest.skip("this file system takes only UTF-8 names")
    with pytest.raises(BadInput, match=r"'caf\\udce9' in .*train has a name that is not valid UTF-8"):
        folder(root)


def test_nested_files_and_other_files(make_tree, save, tmp_path):
    root = make_tree(tmp_path)
    save(root / "train" / "cat" / "deep" / "er" / "x.jpeg", 1)
    (root / "train" / "cat" / "README.txt").write_text("passed over")
    (root / "train" / ".git").mkdir()
    (root / "train" / "labels.csv").write_text("passed over")
    assert folder(root).labels.tolist() == [0, 0, 0, 0, 1, 1, 1]


def test_same_data_at_every_load(make_tree, tmp_path):
    root = make_tree(tmp_path, per_class=50, size=(70, 70))
    first = folder(root)
    assert folder(root).digest() == first.digest()
    assert torch.equal(folder(root).ids, first.ids)
