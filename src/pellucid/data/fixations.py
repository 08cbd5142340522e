"""Where people looked: the fixation files of CUB-GHA, and maps drawn from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pellucid.errors import BadInput

REACH = 250
"""The Gaussian around a fixation is cut to the 500 × 500 display pixels from -250 to 249 in either direction."""


@dataclass(frozen=True, eq=False)
class Fixations:
    """What one line of a fixation file says.

    Attributes
    ----------
    image_id
        Number of the image in the ``images.txt`` of CUB-200-2011.
    size
        (width, height) of the image file.
    shown
        (left, top, width, height) of the image on the display, in display pixels.
    points
        float64 [F, 3]: x and y on the display, in display pixels, and duration in milliseconds.
    """

    image_id: int
    size: tuple[int, int]
    shown: tuple[int, int, int, int]
    points: NDArray[np.float64]


def read_fixations(path: Path) -> list[Fixations]:
    """Read a fixation file of CUB-GHA: one line of whole numbers, separated by commas, for an image (and a run).

    The two kinds of published files are told apart by the length of their first line: each fixation is three numbers
    (x, y, duration), after a head of

    - seven (``Fixation.txt``): image id, width and height of the file, width and height on the display, and the
      display's x and y of the image's upper left corner; or
    - three (``data_5runs/Fixation_run*.txt``): image id, width and height. The coordinates are then those of the image
      itself, which counts as shown in its own size.

    Raises
    ------
    BadInput
        With the file and the number of the first line that is not like that.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"cannot read the fixations {path}: {error}") from error
    filled = {f"{path}, line {number}": line for number, line in enumerate(lines, 1) if line.strip()}
    head = 7 if next(iter(filled.values()), "").count(",") % 3 == 0 else 3
    return [_parsed(line, where, head) for where, line in filled.items()]


def attention_map(records: Sequence[Fixations], *, sd: float = 75.0) -> NDArray[np.float64]:
    """Draw the attention map of one image: the sum of duration · Gaussian over all fixations, scaled to [0, 1].

    The published script leaves out the last fixation of every line (by a loop that ends early); here all count.

    Parameters
    ----------
    records
        Lines of one image, from one run or several.
    sd
        Standard deviation of the Gaussian in display pixels; the sum is cut to the image, then its minimum becomes 0
        and its maximum 1, then it is resized (bilinear, antialiased) from display pixels to the image's own.

    Returns
    -------
    float64 [height, width] of the image, in [0, 1]. Zeros if the sum is the same everywhere (no fixations, or all of
    them far outside).

    Raises
    ------
    BadInput
        If the lines are not those of one image shown in one place.

    References
    ----------
    Rong et al. 2021, "Human attention in fine-grained classification"; definitions §2.2.
    """
    first = records[0]
    if any((r.image_id, r.size, r.shown) != (first.image_id, first.size, first.shown) for r in records):
        raise BadInput(f"the fixations of image {first.image_id} disagree about its number, size or place on display")
    left, top, width, height = first.shown
    x, y, duration = np.concatenate([record.points for record in records]).T
    # A Gaussian is a product of one in x and one in y, so the sum over the fixations is a product of two matrices.
    rows = _bell(np.arange(top, top + height) - y[:, None], sd) * duration[:, None]
    columns = _bell(np.arange(left, left + width) - x[:, None], sd)
    drawn = rows.T @ columns
    low, high = drawn.min(), drawn.max()
    if not high > low:
        return np.zeros(first.size[::-1])
    scaled = Image.fromarray(((drawn - low) / (high - low)).astype(np.float32))
    resized = scaled.resize(first.size, Image.Resampling.BILINEAR)
    return np.asarray(resized, np.float64).clip(0, 1)


def _bell(distance: NDArray[np.float64], sd: float) -> NDArray[np.float64]:
    """exp(-d²/2sd²) within the reach, else 0."""
    inside = (distance >= -REACH) & (distance < REACH)
    return np.where(inside, np.exp(-((distance / sd) ** 2) / 2), 0.0)


def _parsed(line: str, where: str, head: int) -> Fixations:
    try:
        numbers = [int(field) for field in line.split(",")]
    except ValueError as error:
        raise BadInput(f"{where}: expected whole numbers separated by commas ({error})") from error
    if len(numbers) < head or (len(numbers) - head) % 3:
        raise BadInput(
            f"{where}: expected {head} numbers (as in the first line) and then 3 (x, y, duration) a fixation; "
            f"it has {len(numbers)}"
        )
    image_id, width, height = numbers[:3]
    shown = (0, 0, width, height) if head == 3 else (numbers[5], numbers[6], numbers[3], numbers[4])
    points = np.array(numbers[head:], np.float64).reshape(-1, 3)
    if min(width, height, *shown[2:]) < 1:
        raise BadInput(f"{where}: an image of {width} × {height} pixels shown in {shown[2]} × {shown[3]} is impossible")
    if (points[:, 2] < 0).any():
        raise BadInput(f"{where}: a fixation lasts {points[:, 2].min():.0f} ms; durations are ≥ 0")
    return Fixations(image_id, (width, height), shown, points)
