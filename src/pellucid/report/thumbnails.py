"""Small pictures of test images, each drawn once on a page wherever its number stands."""

import base64
import io
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup
from PIL import Image

from pellucid.errors import BadInput
from pellucid.report.reading import read_arrays
from pellucid.report.runs import Run
from pellucid.report.sheets import Thumbnail

FILE = "thumbnails.npz"


def thumbnail_style(shown: Collection[Thumbnail], runs: Sequence[Run]) -> Markup:
    """The style rules that draw each of `shown`, empty where no run has kept the pictures.

    Raises
    ------
    BadInput
        If a file of pictures is damaged.
    """
    pictures: dict[int, npt.NDArray[Any]] = {}
    for run in runs:
        wanted = {one.image for one in shown} - pictures.keys()
        pictures |= _pictures(run, wanted) if wanted else {}
    drawn = [one for one in sorted(shown, key=lambda one: one.image) if one.image in pictures]
    rule = ".{}{{display:inline-block;background-image:url(data:image/png;base64,{})}}"
    return Markup("\n").join(Markup(rule).format(one.css_class, _encoded(pictures[one.image])) for one in drawn)


def _pictures(run: Run, wanted: Collection[int]) -> dict[int, npt.NDArray[Any]]:
    """Of a run, the pictures [h, w, c] (uint8) of some images; none where it has not kept them."""
    path = run.path / "measurements" / FILE
    if not path.is_file():
        return {}
    arrays = read_arrays(path)
    ids, images = arrays.get("ids"), arrays.get("images")
    if ids is None or images is None or images.ndim != 4 or len(ids) != len(images) or images.dtype != np.uint8:
        raise BadInput(f"{path} is damaged: it needs ids [n] and images [n, h, w, c] of bytes")
    return {int(name): image for name, image in zip(ids, images, strict=True) if int(name) in wanted}


def _encoded(image: npt.NDArray[Any]) -> str:
    buffer = io.BytesIO()
    Image.fromarray(image[..., :3] if image.shape[2] > 2 else image[..., 0]).save(buffer, format="PNG")
    return base64.b64encode(buffer.getvalue()).decode()
