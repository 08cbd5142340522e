"""Fixation files in the published format, and maps drawn from them."""

import numpy as np
import pytest
from PIL import Image
from scipy.stats import multivariate_normal

from pellucid.data.fixations import Fixations, attention_map, read_fixations
from pellucid.errors import BadInput

RUN = """\
8464,500,375,200,145,179,160,168,765,161,162,237,157,172,351,167,166,123,156,168,159,146,164,82,115,146,129,157,172,144,128,179,266,139,173,194
1815,436,500,195,148,100,316,107,198,306,106,1852,308,104,633
1293,500,299,235,114,214,243,114,443,237,117,2248
"""
"""Lines of the published Fixation_run1.txt."""

WHOLE = "7,500,375,1000,750,460,165,960,540,300,700,400,100\n"
"""A line in the format of the published Fixation.txt: shown twice as large in the middle of 1920 × 1080."""


@pytest.fixture
def write(tmp_path):
    def write(content):
        (tmp_path / "Fixation.txt").write_text(content)
        return tmp_path / "Fixation.txt"

    return write


def test_lines_of_a_run(write):
    first, second, third = read_fixations(write(RUN + "\n"))
    assert (first.image_id, first.size, first.shown) == (8464, (500, 375), (0, 0, 500, 375))
    assert first.points.shape == (11, 3)
    assert first.points[1].tolist() == [160, 168, 765]
    assert first.points[-1].tolist() == [139, 173, 194]
    assert second.points.tolist() == [[195, 148, 100], [316, 107, 198], [306, 106, 1852], [308, 104, 633]]
    assert (third.image_id, len(third.points)) == (1293, 3)


def test_lines_with_the_place_on_the_display(write):
    (record,) = read_fixations(write(WHOLE))
    assert (record.image_id, record.size, record.shown) == (7, (500, 375), (460, 165, 1000, 750))
    assert record.points.tolist() == [[960, 540, 300], [700, 400, 100]]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("5,500,x,1,2,3", "expected whole numbers separated by commas .*'x'"),
        ("5,500,375,1,2,3,", "expected whole numbers"),
        ("5,500,375,10.5,2,3", "expected whole numbers.*'10.5'"),
        ("5,500,375,1,2", "expected 3 numbers .as in the first line. and then 3 .x, y, duration. a fixation; it has 5"),
        ("5", ".* it has 1"),
        ("5,500,375,1", ".* it has 4"),
        ("5,0,375,1,2,3", "an image of 0 × 375 pixels shown in 0 × 375 is impossible"),
        (WHOLE.strip(), ".* it has 13"),
        ("5,500,375,1,2,-30", "a fixation lasts -30 ms"),
        ("<html>", "expected whole numbers"),
    ],
)
def test_a_bad_line_is_named(write, bad, message):
    path = write(RUN + bad + "\n" + RUN)
    with pytest.raises(BadInput, match=f"{path}, line 4: {message}") as caught:
        read_fixations(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (WHOLE.strip().removesuffix(",100"), "expected 7 numbers .as in the first line. and then 3 .*; it has 12"),
        ("1,500,335,144,128,278", ".* it has 6"),
        ("5,500,375,-3,375,0,0,1,2,3", "an image of 500 × 375 pixels shown in -3 × 375 is impossible"),
    ],
)
def test_a_bad_line_with_a_place_on_the_display_is_named(write, bad, message):
    """A line that lost a number must not pass for one of the other kind."""
    path = write(WHOLE + "\n" + bad)
    with pytest.raises(BadInput, match=f"{path}, line 3: {message}"):
        read_fixations(path)


def test_a_file_without_lines(write):
    assert read_fixations(write("\n\n")) == []


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(BadInput, match="cannot read the fixations .*gone.txt"):
        read_fixations(tmp_path / "gone.txt")
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInput, match="cannot read the fixations .*bytes.txt"):
        read_fixations(tmp_path / "bytes.txt")


def record(points, *, size=(80, 60), shown=None):
    return Fixations(1, size, shown or (0, 0, *size), np.array(points, np.float64).reshape(-1, 3))


def summed(points, width, height, *, left=0, top=0, sd=75):
    """The sum by scipy's density in two dimensions on the whole image, scaled to [0, 1]."""
    grid = np.dstack(np.meshgrid(np.arange(left, left + width), np.arange(top, top + height)))
    total = np.zeros((height, width))
    for x, y, duration in points:
        density = duration * multivariate_normal([x, y], sd**2 * np.eye(2)).pdf(grid).reshape(height, width)
        reach = grid - np.array([x, y])
        total += np.where(((reach >= -250) & (reach <= 249)).all(2), density, 0)
    return (total - total.min()) / (total.max() - total.min())


@pytest.mark.parametrize("width", [80, 600])
def test_the_map_is_the_sum_of_gaussians(width):
    points = [(20, 15, 300), (60, 40, 150), (-30, 90, 500), (width - 60, 10, 700)]
    found = attention_map([record(points, size=(width, 60))])
    np.testing.assert_allclose(found, summed(points, width, 60), atol=1e-6)
    assert (found.min(), found.max()) == (0, 1)
    assert found.shape == (60, width)


def test_one_fixation_peaks_where_it_is_and_halves_at_its_half_width():
    found = attention_map([record([(300, 200, 250)], size=(1000, 400))])
    assert np.unravel_index(found.argmax(), found.shape) == (200, 300)
    assert found[200, 300 + 88] == pytest.approx(0.5, abs=0.01)  # 75·√(2 ln 2) = 88.3
    assert found[200, 549] > 0
    assert found[200, 550] == 0
    assert found[200, 50] > 0
    assert found[200, 49] == 0


def test_fixations_on_the_display_are_brought_to_the_image(write):
    (whole,) = read_fixations(write(WHOLE))
    found = attention_map([whole])
    drawn = summed([(960, 540, 300), (700, 400, 100)], 1000, 750, left=460, top=165)
    expected = np.asarray(Image.fromarray(drawn.astype(np.float32)).resize((500, 375), Image.Resampling.BILINEAR))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    y, x = np.unravel_index(found.argmax(), found.shape)
    assert abs(x - 250) <= 3
    assert abs(y - 187) <= 3


def test_runs_of_one_image_are_pooled_and_durations_weigh():
    a, b = [(20, 15, 300)], [(60, 40, 150), (10, 10, 90)]
    pooled, together = attention_map([record(a), record(b)]), attention_map([record(a + b)])
    np.testing.assert_allclose(pooled, together, atol=1e-7)
    tenfold = attention_map([record([(x, y, 10 * d) for x, y, d in a + b])])
    np.testing.assert_allclose(tenfold, together, atol=1e-6)
    assert np.abs(attention_map([record(a), record([(x, y, 9 * d) for x, y, d in b])]) - together).max() > 0.1


@pytest.mark.parametrize("points", [[], [(40, 30, 0)], [(5000, 30, 100)]])
def test_no_difference_no_attention(points):
    assert attention_map([record(points)]).tolist() == np.zeros((60, 80)).tolist()


def test_records_that_disagree_are_refused():
    for other in (record([], size=(60, 80)), record([], shown=(5, 0, 80, 60))):
        with pytest.raises(BadInput, match="fixations of image 1 disagree about its number, size or place"):
            attention_map([record([(20, 15, 300)]), other])
