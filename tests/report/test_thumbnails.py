"""Pictures of the images that drive a difference, on the page of a grid."""

import base64
import io
import re

import numpy as np
import pytest
from fake_runs import write_grid
from PIL import Image

from pellucid.errors import BadInput
from pellucid.report import write_report
from pellucid.report.runs import read_runs
from pellucid.report.sheets import Thumbnail
from pellucid.report.thumbnails import thumbnail_style

RULE = re.compile(
    r"\.image-(\d+)([\w-]*)\{display:inline-block;background-image:url\(data:image/png;base64,([\w+/=]+)\)\}"
)


@pytest.fixture
def grid(tmp_path):
    return write_grid(tmp_path, ("N", "A"), seeds=2, images=12)


def pictures(channels=1):
    return np.random.default_rng(0).integers(256, size=(12, 5, 7, channels), dtype=np.uint8)


def keep(grid, ids, images):
    np.savez(grid / "runs/A-seed1/measurements/thumbnails.npz", ids=ids, images=images)


def drawn(style):
    """{image: (setting, its pixels)}"""
    found = {}
    for image, setting, text in RULE.findall(str(style)):
        found[int(image)] = setting, np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))
    return found


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_each_asked_for_image_is_drawn_once_to_the_byte(grid, channels):
    runs, images = read_runs(grid), pictures(channels)
    keep(grid, np.arange(12), images)
    found = drawn(thumbnail_style({Thumbnail(3, "-mnist"), Thumbnail(7, "-mnist"), Thumbnail(99, "-mnist")}, runs))
    assert found.keys() == {3, 7}
    for image, (setting, pixels) in found.items():
        assert setting == "-mnist"
        told = images[image][..., : 3 if channels > 2 else 1]
        np.testing.assert_array_equal(pixels.reshape(told.shape), told)


def test_runs_without_pictures_have_none(grid):
    assert thumbnail_style({Thumbnail(3)}, read_runs(grid)) == ""


def test_the_page_shows_the_images_that_drive_a_difference(grid):
    runs = read_runs(grid)
    keep(grid, runs[0].attributions["gradient"].ids, pictures())
    page = write_report(grid).read_text()
    shown = {int(image) for image in re.findall(r'class="thumbnail image-(\d+)"', page)}
    assert shown
    assert drawn(page).keys() == shown
    table = (grid / "report/tables/images.csv").read_text()
    assert "thumbnail" not in table
    assert {line.split(",")[2] for line in table.splitlines()[1:]} <= {str(image) for image in shown}


@pytest.mark.parametrize(
    "arrays",
    [
        {"ids": np.arange(12)},
        {"ids": np.arange(3), "images": pictures()},
        {"ids": np.arange(12), "images": pictures() / 2},
    ],
)
def test_a_damaged_file_is_one_line(grid, arrays):
    np.savez(grid / "runs/A-seed1/measurements/thumbnails.npz", **arrays)
    with pytest.raises(BadInput, match="thumbnails.npz is damaged"):
        thumbnail_style({Thumbnail(3)}, read_runs(grid))
