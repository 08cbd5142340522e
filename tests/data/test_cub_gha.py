"""CUB-GHA in its published layout, made up in small."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from pellucid.data import cub_gha
from pellucid.data.fixations import attention_map, read_fixations
from pellucid.errors import BadInput

IMAGES = {
    1: ("001.Black_footed_Albatross/Black_Footed_Albatross_0046_18.jpg", 1, 0),
    2: ("001.Black_footed_Albatross/Black_Footed_Albatross_0009_34.jpg", 1, 1),
    3: ("002.Laysan_Albatross/Laysan_Albatross_0002_1027.jpg", 2, 1),
    4: ("002.Laysan_Albatross/Laysan_Albatross_0049_918.jpg", 2, 1),
    5: ("002.Laysan_Albatross/Laysan_Albatross_0003_1033.jpg", 2, 0),
}
"""Path, class and whether it is a training image; the first lines of the real tables look like this."""
SIZES = {1: (50, 37), 2: (50, 33), 3: (30, 40), 4: (40, 40), 5: (44, 40)}


@pytest.fixture
def birds(tmp_path, save):
    place = tmp_path / "CUB_200_2011"
    for image_id, (path, _, _) in IMAGES.items():
        save(place / "images" / path, image_id, size=SIZES[image_id], mode="L" if image_id == 3 else "RGB")
    table(place / "images.txt", {i: path for i, (path, _, _) in IMAGES.items()})
    table(place / "image_class_labels.txt", {i: label for i, (_, label, _) in IMAGES.items()})
    table(place / "train_test_split.txt", {i: training for i, (_, _, training) in IMAGES.items()})
    table(place / "classes.txt", {1: "001.Black_footed_Albatross", 2: "002.Laysan_Albatross"})
    return place


def table(path, entries):
    path.write_text("".join(f"{key} {value}\n" for key, value in entries.items()))


@pytest.fixture
def drawn(birds, save):
    """Maps that were drawn already."""
    for image_id, size in SIZES.items():
        save(birds.parent / "CUB_GHA" / f"{image_id}.jpg", 50 + image_id, size=size, mode="L")
    return birds.parent


def gaze_line(image_id, *points):
    width, height = SIZES[image_id]
    shown = (20 * width, 20 * height, 1920 // 2 - 10 * width, 1080 // 2 - 10 * height)
    return ",".join(str(n) for n in (image_id, width, height, *shown, *(n for point in points for n in point))) + "\n"


def square(path, side, mode):
    image = Image.open(path).convert(mode)
    return np.asarray(ImageOps.fit(image, (side, side), Image.Resampling.BILINEAR))


def test_split_labels_classes_and_pixels(birds, drawn):
    for split, ids in (("train", [2, 3, 4]), ("test", [1, 5])):
        data = cub_gha(drawn, split, image_size=24)
        assert (data.name, data.split) == ("cub-gha", split)
        assert data.classes == ("Black footed Albatross", "Laysan Albatross")
        assert data.labels.tolist() == [IMAGES[i][1] - 1 for i in ids]
        assert data.ids.tolist() == list(range(len(ids)))
        for position, image_id in enumerate(ids):
            expected = square(birds / "images" / IMAGES[image_id][0], 24, "RGB")
            np.testing.assert_array_equal(data.images[position].permute(1, 2, 0).numpy(), expected)
            expected = square(drawn / "CUB_GHA" / f"{image_id}.jpg", 24, "L")
            np.testing.assert_array_equal(data.attention[position, 0].numpy(), expected)


def test_the_folder_of_the_birds_itself_may_be_the_root(birds, drawn):
    (drawn / "CUB_GHA").rename(birds / "CUB_GHA")
    assert torch.equal(cub_gha(birds).attention, cub_gha(birds.parent).attention)


def test_missing_maps_are_counted_or_dropped(drawn):
    (drawn / "CUB_GHA" / "3.jpg").unlink()
    message = (
        f"1 of 3 images of CUB-GHA .train. have no attention map in {drawn}/CUB_GHA, the first of them image 3: .*drop"
    )
    with pytest.raises(BadInput, match=message):
        cub_gha(drawn, image_size=24)
    data = cub_gha(drawn, image_size=24, missing="drop")
    assert data.ids.tolist() == [0, 2]
    assert data.labels.tolist() == [0, 1]
    assert len(cub_gha(drawn, "test", image_size=24)) == 2
    for name in (2, 4):
        (drawn / "CUB_GHA" / f"{name}.jpg").unlink()
    with pytest.raises(BadInput, match="3 of 3 images"):
        cub_gha(drawn, image_size=24, missing="drop")
    with pytest.raises(BadInput, match="unknown way to treat missing maps 'drops': did you mean 'drop'"):
        cub_gha(drawn, missing="drops")


def test_a_map_of_another_size_is_named(drawn, save):
    save(drawn / "CUB_GHA" / "4.jpg", size=(40, 30), mode="L")
    with pytest.raises(BadInput, match=r"CUB_GHA/4.jpg has 40 × 30 pixels but its image .*918.jpg has 40 × 40"):
        cub_gha(drawn, image_size=24)


def test_maps_from_gaze(birds):
    lines = [gaze_line(2, (900, 400, 300), (1200, 700, 100)), gaze_line(3, (950, 560, 999)), gaze_line(4, (0, 0, 80))]
    path = birds.parent / "Fixation.txt"
    path.write_text("".join(lines))
    data = cub_gha(birds.parent, image_size=24)
    for position, record in enumerate(read_fixations(path)):
        image = Image.fromarray((255 * attention_map([record])).round().astype(np.uint8))
        expected = np.asarray(ImageOps.fit(image, (24, 24), Image.Resampling.BILINEAR))
        np.testing.assert_array_equal(data.attention[position, 0].numpy(), expected)
    assert data.attention[1].max() > 240
    with pytest.raises(BadInput, match="2 of 2 images of CUB-GHA .test. have no attention map in .*Fixation.txt"):
        cub_gha(birds.parent, "test", image_size=24)


def test_maps_from_single_runs_are_pooled(birds):
    runs = birds.parent / "data_5runs"
    runs.mkdir()
    (runs / "Fixation_run1.txt").write_text("2,50,33,10,10,500\n3,30,40,4,4,100\n")
    (runs / "Fixation_run2.txt").write_text("2,50,33,40,20,200\n4,40,40,9,9,300\n")
    data = cub_gha(birds.parent, image_size=24)
    pooled = [r for run in (1, 2) for r in read_fixations(runs / f"Fixation_run{run}.txt") if r.image_id == 2]
    assert len(pooled) == 2
    image = Image.fromarray((255 * attention_map(pooled)).round().astype(np.uint8))
    expected = np.asarray(ImageOps.fit(image, (24, 24), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(data.attention[0, 0].numpy(), expected)


def test_gaze_at_an_image_of_another_size(birds):
    lines = [gaze_line(i, (900, 400, 300)) for i in (2, 3, 4)]
    (birds.parent / "Fixation.txt").write_text("".join(lines).replace("3,30,40,", "3,40,30,"))
    with pytest.raises(
        BadInput, match="Fixation.txt is about an image 3 of 40 × 30 pixels, but .*1027.jpg has 30 × 40"
    ):
        cub_gha(birds.parent, image_size=24)


def test_nothing_there(tmp_path, birds):
    with pytest.raises(
        BadInput, match="found no attention maps under .*: give .* a folder that holds CUB_GHA/<image id>.jpg"
    ):
        cub_gha(birds.parent)
    (birds / "images.txt").unlink()
    with pytest.raises(BadInput, match="found no CUB-200-2011 under"):
        cub_gha(tmp_path)
    with pytest.raises(BadInput, match="found no CUB-200-2011 because neither --data-root"):
        cub_gha()


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        (
            "images.txt",
            "1 a.jpg\ntwo b.jpg\n",
            "images.txt, line 2: expected a number, a space and a word; got 'two b.jpg'",
        ),
        ("images.txt", "1\n", "images.txt, line 1: expected"),
        ("image_class_labels.txt", "1 1\n", "image 2 of .*images.txt needs one of the classes"),
        ("image_class_labels.txt", "1 1\n2 7\n3 1\n4 1\n5 1\n", "image 2 of .*images.txt needs one of the classes"),
        ("train_test_split.txt", "1 1\n2 1\n3 2\n4 1\n5 1\n", "image 3 of .*and 0 or 1 in train_test_split.txt"),
        ("train_test_split.txt", "1 0\n2 0\n3 0\n4 0\n5 0\n", "names no image of the split 'train'"),
        ("classes.txt", None, "cannot read .*classes.txt, which CUB-200-2011 has"),
    ],
)
def test_bad_tables_are_named(birds, drawn, file, content, message):
    (birds / file).unlink() if content is None else (birds / file).write_text(content)
    with pytest.raises(BadInput, match=message) as caught:
        cub_gha(drawn, image_size=24)
    assert "\n" not in str(caught.value)


def test_classes_by_number_not_by_order_of_lines(birds, drawn):
    table(birds / "classes.txt", {2: "002.Laysan_Albatross", 1: "001.Black_footed_Albatross"})
    assert cub_gha(drawn, image_size=24).labels.tolist() == [0, 1, 1]


def test_a_missing_photograph_is_named(birds, drawn):
    (birds / "images" / IMAGES[4][0]).unlink()
    with pytest.raises(BadInput, match="cannot read the image .*Laysan_Albatross_0049_918.jpg"):
        cub_gha(drawn, image_size=24)
