"""What is sent is looked at before it is decoded, and bad files get one sentence."""

import contextlib
import io
import random
import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from pellucid.data import fashion_mnist_mini
from pellucid.errors import BadInput
from pellucid.experiments.explain import images_like
from pellucid.explore.uploads import decoded

GREY = fashion_mnist_mini(None, "test").subset([0])


def picture(size=(60, 40), mode="RGB", seed=0):
    rng = np.random.default_rng(seed)
    shape = (*size[::-1], 3) if mode == "RGB" else size[::-1]
    return Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8))


def saved(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


def huge_png(width=10_000, height=10_000):
    """A PNG of few bytes that becomes 100 megapixels."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes((width + 1) * height), 9))
    return b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b"")


TURNED = Image.Exif()
TURNED[0x0112] = 6
SVG = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect/></svg>'
JPEG = saved(picture((300, 300)), "JPEG")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "WEBP", "GIF"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_file_becomes_what_the_command_line_makes_of_it(kind, mode, tmp_path):
    content = saved(picture(mode=mode), kind)
    path = tmp_path / f"it.{'png' if kind == 'GIF' else kind.lower()}"
    path.write_bytes(content)
    assert torch.equal(decoded(content, GREY), images_like(GREY, [path]))


def test_the_orientation_of_a_camera_is_honoured(tmp_path):
    content = saved(picture((60, 40), "L"), "JPEG", exif=TURNED, quality=95)
    path = tmp_path / "it.jpg"
    path.write_bytes(content)
    found = decoded(content, GREY)
    assert torch.equal(found, images_like(GREY, [path]))
    plain = decoded(saved(picture((60, 40), "L"), "JPEG", quality=95), GREY)
    torch.testing.assert_close(found[0, 0], plain[0, 0].rot90(-1), atol=0.02, rtol=0)


def test_colour_images_for_models_of_colour():
    found = decoded(saved(picture((9, 9)), "PNG"), colour_set())
    assert found.shape == (1, 3, 16, 16)
    assert 0 <= float(found.min()) <= float(found.max()) <= 1


def colour_set():
    images = torch.randint(0, 256, (4, 3, 16, 16), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    return replace(GREY, images=images, labels=torch.arange(4), ids=torch.arange(4))


def test_of_a_moving_picture_the_first_frame_counts():
    first, second = picture(mode="L", seed=1), picture(mode="L", seed=2)
    content = saved(first, "GIF", save_all=True, append_images=[second])
    torch.testing.assert_close(decoded(content, GREY), decoded(saved(first, "PNG"), GREY))


BAD = {
    "a PNG of 100 megapixels": (huge_png(), "100 million pixels; at most 25 million are taken"),
    "a PNG of 400 megapixels": (huge_png(20_000, 20_000)[:5000], "far more than the 25 million pixels"),
    "an SVG": (SVG, "an SVG drawing, which has no pixels: export it"),
    "a text": (b"This is no picture.\n" * 40, "no PNG, JPEG, BMP, WebP or GIF image, whatever its name says"),
    "a truncated JPEG": (JPEG[: len(JPEG) // 2], "JPEG image is damaged or truncated"),
    "a JPEG without its end": (JPEG[:-200], "JPEG image is damaged or truncated"),
    "the head of a JPEG": (JPEG[:40], "damaged"),
    "a truncated PNG": (saved(picture(), "PNG")[:900], "PNG image is damaged or truncated"),
    "a truncated WebP": (saved(picture((200, 200)), "WEBP")[:900], "damaged"),
    "a truncated GIF": (saved(picture((200, 200)), "GIF")[:2000], "damaged or truncated"),
    "a TIFF": (saved(picture(), "TIFF"), "no PNG, JPEG"),
    "nothing": (b"", "the file is empty"),
    "16 bits": (saved(Image.fromarray(np.zeros((9, 9), np.uint16)), "PNG"), "pixels of type I;16"),
    "glass": (saved(Image.new("RGBA", (9, 9), (1, 2, 3, 99)), "PNG"), "transparent pixels"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_file_gets_one_sentence(what):
    content, said = BAD[what]
    with pytest.raises(BadInput, match=said) as caught:
        decoded(content, GREY)
    assert len(str(caught.value)) < 200
    assert "\n" not in str(caught.value)


def test_no_pixel_of_an_image_that_is_too_large_is_decoded(monkeypatch):
    def load(*_):
        raise AssertionError("decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", load)
    with pytest.raises(BadInput, match="10000 × 10000"):
        decoded(huge_png(), GREY)


def test_damaged_bytes_never_get_further_than_a_sentence():
    rng = random.Random(0)
    good = [saved(picture((20, 20)), kind) for kind in ("PNG", "JPEG", "GIF", "WEBP", "BMP")]
    for turn in range(150):
        content = bytearray(good[turn % 5])
        for _ in range(4):
            content[rng.randrange(len(content))] = rng.randrange(256)
        with contextlib.suppress(BadInput):
            assert decoded(bytes(content), GREY).shape == (1, 1, 28, 28)
