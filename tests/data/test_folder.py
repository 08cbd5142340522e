"""Trees of class folders as a user may have them."""

from pathlib import Path

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


@pytest.fixture
def with_maps(make_tree, save, tmp_path):
    """A tree of 12 × 10 images with a map for each in the folder "maps"."""
    root = make_tree(tmp_path)
    for image in sorted(root.glob("t*/*/*.png")):
        save(
            root / "maps" / image.relative_to(root),
            int(image.stem) + len(image.parent.name + str(image)),
            mode="L",
            size=(12, 10),
        )
    return root


def test_maps_from_a_parallel_folder(with_maps):
    for split in ("train", "test"):
        data = folder(with_maps, split, attention=Path("maps"))
        paths = [with_maps / "maps" / split / name / f"{i}.png" for name in data.classes for i in range(3)]
        stored = np.stack([np.asarray(Image.open(path)) for path in paths])
        np.testing.assert_array_equal(data.attention[:, 0].numpy(), stored)
        assert folder(with_maps, split).attention is None
        assert data.digest() != folder(with_maps, split).digest()


def test_a_map_is_resized_and_cropped_with_its_image(make_tree, tmp_path):
    """A map that is its image's own grey copy stays so. Nested folders and jpg maps count."""
    root = make_tree(tmp_path, mode="L", size=(17, 12))
    (root / "train" / "cat" / "0.png").rename(root / "train" / "cat" / "a.b.png")
    (root / "train" / "cat" / "deep").mkdir()
    (root / "train" / "cat" / "1.png").rename(root / "train" / "cat" / "deep" / "1.png")
    for image in root.glob("t*/**/*.png"):
        path = root / "maps" / image.relative_to(root)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image.read_bytes())
    flat = root / "maps" / "train" / "dog" / "2"
    Image.new("L", (17, 12), 200).save(flat.with_suffix(".jpg"))
    flat.with_suffix(".png").unlink()
    data = folder(root, image_size=8, attention=Path("maps"))
    assert torch.equal(data.attention[:-1], data.images[:-1])
    assert (data.attention[-1] == 200).all()


def test_missing_maps_are_counted(with_maps):
    (with_maps / "maps" / "train" / "dog" / "1.png").unlink()
    (with_maps / "maps" / "train" / "dog" / "2.png").unlink()
    message = (
        f"2 of 6 images have no attention map; the first that is missing is {with_maps}/maps/train/dog/1.png .or .jpg"
    )
    with pytest.raises(BadInput, match=message):
        folder(with_maps, attention=Path("maps"))
    with pytest.raises(BadInput, match="6 of 6 images have no attention map; .*/elsewhere/test/cat/0.png"):
        folder(with_maps, "test", attention=Path("elsewhere"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda path: Image.new("L", (10, 12)).save(path),
            "{} has 10 × 12 pixels but its image .*train/cat/1.png has 12 × 10",
        ),
        (lambda path: Image.new("L", (24, 20)).save(path), "{} has 24 × 20 pixels but its image"),
        (lambda path: Image.new("I;16", (12, 10)).save(path), "{} has pixels of type I;16: save it grey with 8 bits"),
        (lambda path: Image.new("RGB", (12, 10)).save(path), "{} has pixels of type RGB: save it grey with 8 bits"),
        (lambda path: path.write_text("no picture"), "cannot read the image {}: it is damaged or no image"),
    ],
)
def test_impossible_maps_are_named(with_maps, change, message):
    path = with_maps / "maps" / "train" / "cat" / "1.png"
    change(path)
    with pytest.raises(BadInput, match=message.format(path)) as caught:
        folder(with_maps, attention=Path("maps"))
    assert "\n" not in str(caught.value)


def test_a_map_fits_the_upright_image(with_maps):
    """A photograph taken sideways is turned; its map has the size of the turned one."""
    sideways = Image.Exif()
    sideways[0x0112] = 6
    path = with_maps / "train" / "cat" / "1.png"
    Image.open(path).transpose(Image.Transpose.ROTATE_90).save(path, exif=sideways)
    assert folder(with_maps, attention=Path("maps")).attention.shape == (6, 1, 10, 12)
