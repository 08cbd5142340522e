"""Decoding image files: kinds of pixels, sizes, orientation, damage, memory."""

import numpy as np
import pytest
import torch
from PIL import Image

from pellucid.data import decoding
from pellucid.data.decoding import decode, read_image
from pellucid.errors import BadInput


def one(path, *, image_size=None, channels="auto") -> np.ndarray:
    return decode([path], image_size=image_size, channels=channels)[0].numpy()


def test_pixels_are_those_of_the_file(save, tmp_path):
    grey = save(tmp_path / "grey.png", 1, mode="L")
    colour = save(tmp_path / "colour.png", 2)
    np.testing.assert_array_equal(one(tmp_path / "grey.png"), np.asarray(grey)[None])
    np.testing.assert_array_equal(one(tmp_path / "colour.png"), np.moveaxis(np.asarray(colour), 2, 0))


def test_order_is_that_of_the_paths_over_many_chunks(save, tmp_path):
    values = np.random.default_rng(0).permutation(200)
    paths = [tmp_path / f"{value}.png" for value in values]
    for value, path in zip(values, paths, strict=True):
        Image.new("L", (80, 80), int(value)).save(path)  # large enough for several threads
    images = decode(paths, image_size=None, channels="auto")
    assert images[:, 0, 0, 0].tolist() == values.tolist()


def test_conversion_to_grey_and_rgb(save, tmp_path):
    colour = save(tmp_path / "colour.png", 2)
    grey = save(tmp_path / "grey.png", 1, mode="L")
    np.testing.assert_array_equal(one(tmp_path / "colour.png", channels="grey"), np.asarray(colour.convert("L"))[None])
    np.testing.assert_array_equal(one(tmp_path / "grey.png", channels="rgb"), np.asarray(grey)[None].repeat(3, axis=0))


def test_palette_cmyk_bilevel_and_opaque_alpha_are_converted(save, tmp_path):
    colour = save(tmp_path / "rgb.png", 3)
    colour.quantize(16).save(tmp_path / "palette.png")
    Image.merge("RGBA", (*colour.split(), Image.new("L", colour.size, 255))).save(tmp_path / "opaque.png")
    grey = colour.convert("L")
    Image.merge("LA", (grey, Image.new("L", colour.size, 255))).save(tmp_path / "grey-opaque.png")
    colour.convert("CMYK").save(tmp_path / "cmyk.tiff")
    grey.point(lambda value: 255 * (value > 99)).convert("1").save(tmp_path / "bilevel.png")
    expected = np.moveaxis(np.asarray(colour), 2, 0)
    np.testing.assert_array_equal(one(tmp_path / "opaque.png"), expected)
    np.testing.assert_array_equal(one(tmp_path / "cmyk.tiff"), expected)
    np.testing.assert_array_equal(one(tmp_path / "grey-opaque.png"), np.asarray(grey)[None])
    np.testing.assert_array_equal(
        one(tmp_path / "palette.png"), np.moveaxis(np.asarray(colour.quantize(16).convert("RGB")), 2, 0)
    )
    np.testing.assert_array_equal(one(tmp_path / "bilevel.png"), 255 * (np.asarray(grey)[None] > 99))


def test_transparent_pixels_are_refused(save, tmp_path):
    save(tmp_path / "rgba.png", 1, mode="RGBA")
    save(tmp_path / "la.png", 1, mode="LA")
    keyed = save(tmp_path / "rgb.png", 1)
    keyed.save(tmp_path / "keyed.png", transparency=keyed.getpixel((0, 0)))
    for name in ("rgba.png", "la.png", "keyed.png"):
        with pytest.raises(BadInput, match=f"{name} has transparent pixels"):
            one(tmp_path / name)


def test_sixteen_bits_and_float_are_refused(tmp_path):
    Image.fromarray(np.full((4, 4), 4000, np.uint16)).save(tmp_path / "deep.png")
    Image.fromarray(np.full((4, 4), 0.5, np.float32)).save(tmp_path / "float.tiff")
    for name in ("deep.png", "float.tiff"):
        with pytest.raises(BadInput, match=f"{name} has pixels of type"):
            one(tmp_path / name)


@pytest.mark.parametrize("extension", ["jpg", "png", "webp", "bmp", "tiff"])
def test_truncated_file(save, tmp_path, extension):
    path = tmp_path / f"whole.{extension}"
    save(path, 1, size=(64, 48))
    read_image(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(BadInput, match="cannot read the image .*whole") as caught:
        one(path)
    assert "\n" not in str(caught.value)


def test_text_empty_and_missing_files(tmp_path):
    (tmp_path / "text.jpg").write_text("I am no picture")
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "link.png").symlink_to(tmp_path / "gone.png")
    for name in ("text.jpg", "empty.png", "link.png"):
        with pytest.raises(BadInput, match=f"cannot read the image .*{name}"):
            one(tmp_path / name)


def test_exif_orientation_is_applied(save, tmp_path):
    upright = save(tmp_path / "plain.png", 5, size=(12, 7))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show the stored pixels a quarter turn clockwise
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    np.testing.assert_array_equal(one(tmp_path / "turned.png"), one(tmp_path / "plain.png"))


def test_mixed_channels_name_the_first_odd_file(save, tmp_path):
    paths = [tmp_path / f"{i:03}.png" for i in range(150)]
    for i, path in enumerate(paths):
        save(path, i, mode="RGB" if i in {90, 140} else "L", size=(70, 70))
    with pytest.raises(BadInput) as caught:
        decode(paths, image_size=None, channels="auto")
    assert str(caught.value).startswith(f"{paths[90]} is colour (3 channels) but {paths[0]} is grey")
    assert "channels to grey or rgb" in str(caught.value)
    assert decode(paths, image_size=None, channels="grey").shape == (150, 1, 70, 70)
    assert decode(paths, image_size=None, channels="rgb").shape == (150, 3, 70, 70)


def test_mixed_sizes_name_the_first_odd_file(save, tmp_path):
    paths = [tmp_path / f"{i}.png" for i in range(5)]
    for i, path in enumerate(paths):
        save(path, i, size=(12, 11) if i >= 3 else (12, 10))
    with pytest.raises(BadInput) as caught:
        decode(paths, image_size=None, channels="auto")
    assert str(caught.value).startswith(f"{paths[3]} has 12 × 11 pixels but {paths[0]} has 12 × 10")
    assert "image_size" in str(caught.value)
    assert decode(paths, image_size=6, channels="auto").shape == (5, 3, 6, 6)


def photograph(width: int, height: int) -> Image.Image:
    """Smooth enough to resample, different everywhere."""
    v, u = np.mgrid[0:height, 0:width]
    waves = [127.5 + 100 * np.sin(u / a + k) * np.cos(v / b - k) for k, (a, b) in enumerate([(9, 7), (5, 11), (13, 6)])]
    return Image.fromarray(np.stack(waves, 2).astype(np.uint8))


@pytest.mark.parametrize("size", [(120, 60), (60, 120), (60, 60), (180, 90)])
def test_resize_and_crop_against_torchvision(tmp_path, size):
    from torchvision.transforms import v2

    image = photograph(*size)
    image.save(tmp_path / "photograph.png")
    reference = v2.Compose([v2.PILToTensor(), v2.Resize(30, antialias=True), v2.CenterCrop(30)])(image)
    difference = one(tmp_path / "photograph.png", image_size=30).astype(int) - reference.numpy()
    assert np.abs(difference).max() <= 1  # torchvision rounds after either pass, in another order


def test_resize_of_odd_shapes_stays_near_torchvision(tmp_path):
    from torchvision.transforms import v2

    image = photograph(131, 77)
    image.save(tmp_path / "photograph.png")
    reference = v2.Compose([v2.PILToTensor(), v2.Resize(32, antialias=True), v2.CenterCrop(32)])(image)
    difference = one(tmp_path / "photograph.png", image_size=32).astype(int) - reference.numpy()
    assert np.abs(difference).mean() < 3  # torchvision rounds the crop to whole pixels; squeezing gives 25 and more


def test_image_of_the_right_size_is_not_resampled(save, tmp_path):
    image = save(tmp_path / "a.png", 1, size=(9, 9))
    np.testing.assert_array_equal(one(tmp_path / "a.png", image_size=9), np.moveaxis(np.asarray(image), 2, 0))


def test_resizing_antialiases(tmp_path):
    stripes = np.zeros((64, 64), np.uint8)
    stripes[:, ::2] = 255
    Image.fromarray(stripes).save(tmp_path / "stripes.png")
    small = one(tmp_path / "stripes.png", image_size=8)
    assert np.ptp(small[0, :, 1:-1].astype(int)) <= 8  # taking single pixels would give 0 or 255


def test_memory_is_checked_before_decoding(save, tmp_path, monkeypatch):
    paths = [tmp_path / f"{i}.png" for i in range(4)]
    for i, path in enumerate(paths):
        save(path, i, size=(10, 10))
    paths[-1].write_text("never reached")
    monkeypatch.setattr(decoding, "available_memory", lambda: 1199)
    with pytest.raises(BadInput, match="4 images of 10 × 10 pixels and 3 channels need"):
        decode(paths, image_size=None, channels="auto")
    monkeypatch.setattr(decoding, "available_memory", lambda: 1200)
    with pytest.raises(BadInput, match="cannot read"):
        decode(paths, image_size=None, channels="auto")


def test_available_memory_is_plausible():
    available = decoding.available_memory()
    assert available is None or 2**20 < available < 2**50


def test_unknown_settings(save, tmp_path):
    save(tmp_path / "a.png")
    with pytest.raises(BadInput, match="did you mean 'grey'"):
        one(tmp_path / "a.png", channels="gray")
    with pytest.raises(BadInput, match="at least 1 pixel; got 0"):
        one(tmp_path / "a.png", image_size=0)


def test_result_is_one_contiguous_tensor(save, tmp_path):
    save(tmp_path / "a.png")
    images = decode([tmp_path / "a.png"] * 3, image_size=None, channels="auto")
    assert images.dtype == torch.uint8
    assert images.is_contiguous()
