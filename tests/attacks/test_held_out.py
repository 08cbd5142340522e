import kornia
import numpy as np
import pytest
import torch
from scipy import ndimage
from torchvision.io import ImageReadMode, decode_jpeg, encode_jpeg

from pellucid.attacks import held_out
from pellucid.attacks.held_out import brightness, contrast, gaussian_blur, jpeg, pixel_shift, uniform_noise
from pellucid.errors import BadInput

ALL = [getattr(held_out, name) for name in held_out.__all__]
every = pytest.mark.parametrize("perturb", ALL, ids=held_out.__all__)
random_ones = pytest.mark.parametrize("perturb", [brightness, contrast, pixel_shift, uniform_noise])
fixed_ones = pytest.mark.parametrize("perturb", [gaussian_blur, jpeg])


def pictures(count=8, channels=3, side=16, low=0.0, high=1.0, dtype=torch.float32):
    """Smooth random images between `low` and `high`, with names that are not their positions."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, channels, 4, 4, generator=generator, dtype=dtype)
    x = torch.nn.functional.interpolate(coarse, size=(side, side), mode="bilinear")
    return low + (high - low) * x, list(range(100, 100 + count))


@every
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gives_another_image_of_the_same_form(perturb, channels, dtype):
    x, ids = pictures(channels=channels, dtype=dtype)
    x[0], x[1, :, :8] = 0, 1  # at the ends of the range
    before = x.clone()
    moved = perturb(x, ids=ids, seed=3)
    assert moved.shape == x.shape
    assert moved.dtype == dtype
    assert moved.min() >= 0
    assert moved.max() <= 1
    assert ((moved - x)[1:].abs().flatten(1).amax(1) > 0).all()
    assert torch.equal(x, before)


@every
def test_neither_batch_size_nor_batch_mates_matter(perturb):
    x, ids = pictures()
    whole = perturb(x, ids=ids, seed=3)
    order = [5, 0, 6]
    assert torch.equal(perturb(x[order], ids=[ids[i] for i in order], seed=3), whole[order])
    assert torch.equal(perturb(x[2:3], ids=ids[2:3], seed=3), whole[2:3])
    assert torch.equal(perturb(x, ids=torch.tensor(ids), seed=3), whole)


@random_ones
def test_the_draws_depend_on_seed_and_id(perturb):
    x, ids = pictures(count=1, low=0.3, high=0.7)
    x = x.expand(32, -1, -1, -1)
    moved = perturb(x, ids=range(32), seed=0)
    assert len({image.numpy().tobytes() for image in moved}) > 1
    assert not torch.equal(perturb(x, ids=range(32), seed=1), moved)
    with pytest.raises(BadInput, match="every image needs an id.*got 2 for 32 images"):
        perturb(x, ids=[1, 2])


@fixed_ones
def test_where_nothing_is_random_nothing_needs_a_name(perturb):
    x, ids = pictures()
    assert torch.equal(perturb(x), perturb(x, ids=ids, seed=9))


def test_uniform_noise_is_uniform_in_its_radius():
    x = torch.full((4, 3, 32, 32), 0.5)
    noise = uniform_noise(x, ids=range(4)) - x
    assert noise.abs().max().item() == pytest.approx(0.1, abs=1e-3)
    assert noise.abs().max() <= 0.1 + 1e-6
    assert noise.mean().item() == pytest.approx(0, abs=2e-3)
    assert noise.std().item() == pytest.approx(0.1 / 3**0.5, rel=0.02)
    half = uniform_noise(x, ids=range(4), radius=0.05) - x
    torch.testing.assert_close(half, noise / 2, rtol=0, atol=1e-6)


def test_brightness_moves_every_pixel_by_the_same_amount():
    x, _ = pictures(count=64, low=0.2, high=0.8)
    shift = brightness(x, ids=range(64)) - x
    per_image = shift.mean((1, 2, 3))
    torch.testing.assert_close(shift, per_image[:, None, None, None].expand_as(x), rtol=0, atol=1e-6)
    torch.testing.assert_close(per_image.abs(), torch.full((64,), 0.1))
    assert 20 < int((per_image > 0).sum()) < 44


def test_contrast_scales_deviations_and_keeps_the_mean():
    x, _ = pictures(count=64, low=0.3, high=0.7)
    moved = contrast(x, ids=range(64))
    torch.testing.assert_close(moved.mean((1, 2, 3)), x.mean((1, 2, 3)))
    ratio = moved.flatten(1).std(1) / x.flatten(1).std(1)
    torch.testing.assert_close((ratio - 1).abs(), torch.full((64,), 0.3), rtol=1e-4, atol=0)
    assert 20 < int((ratio > 1).sum()) < 44


@pytest.mark.parametrize(("size", "sigma"), [(5, 1.0), (7, 0.6)])
def test_blur_equals_kornia(size, sigma):
    x, _ = pictures()
    expected = kornia.filters.gaussian_blur2d(x, (size, size), (sigma, sigma), border_type="reflect")
    torch.testing.assert_close(gaussian_blur(x, size=size, sigma=sigma), expected, rtol=0, atol=1e-6)


def test_blur_keeps_the_level_and_takes_the_detail():
    x, _ = pictures()
    torch.testing.assert_close(gaussian_blur(torch.full_like(x, 0.3)), torch.full_like(x, 0.3))
    noisy = torch.rand(4, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    assert (gaussian_blur(noisy).flatten(1).std(1) < 0.5 * noisy.flatten(1).std(1)).all()
    torch.testing.assert_close(gaussian_blur(noisy), gaussian_blur(noisy, size=5, sigma=1.0))


def test_shifts_are_exact_and_go_all_four_ways():
    x, _ = pictures(count=64)
    x[:] = torch.rand(x.shape, generator=torch.Generator().manual_seed(1))
    moved = pixel_shift(x, ids=range(64))
    ways = [(-1, 0), (1, 0), (0, -1), (0, 1)]
    seen = []
    for before, after in zip(x.numpy(), moved.numpy(), strict=True):
        candidates = [ndimage.shift(before, (0, *way), order=0, mode="nearest") for way in ways]
        seen.append([np.array_equal(after, candidate) for candidate in candidates].index(True))
    assert min(np.bincount(seen, minlength=4)) > 5


@pytest.mark.filterwarnings("ignore:The image decoding and encoding capabilities:DeprecationWarning")
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("quality", [50, 90])
def test_jpeg_equals_torchvision(channels, quality):
    x, _ = pictures(channels=channels, side=32)
    mode = ImageReadMode.GRAY if channels == 1 else ImageReadMode.RGB
    bytes_of = (x * 255).round().byte()
    expected = torch.stack([decode_jpeg(encode_jpeg(image, quality=quality), mode=mode) for image in bytes_of]) / 255
    moved = jpeg(x, quality=quality)
    torch.testing.assert_close(moved, expected, rtol=0, atol=3.5 / 255)  # two builds of libjpeg may round differently
    assert (moved - expected).abs().mean() < 0.2 / 255


def test_jpeg_gains_with_quality_and_keeps_a_plain_image():
    x, _ = pictures(side=32)
    errors = [(jpeg(x, quality=quality) - x).abs().mean().item() for quality in (10, 50, 95)]
    assert errors[0] > 1.5 * errors[1] > 2 * errors[2]
    assert torch.equal(jpeg(x), jpeg(x, quality=50))
    plain = torch.full((1, 1, 16, 16), 128 / 255)
    torch.testing.assert_close(jpeg(plain), plain)
    assert jpeg(torch.zeros(0, 3, 8, 8)).shape == (0, 3, 8, 8)


def test_nothing_changes_at_strength_zero():
    x, ids = pictures()
    torch.testing.assert_close(uniform_noise(x, ids=ids, radius=0), x)
    torch.testing.assert_close(brightness(x, ids=ids, shift=0), x)
    torch.testing.assert_close(contrast(x, ids=ids, change=0), x)
    torch.testing.assert_close(gaussian_blur(x, sigma=1e-3), x)


def test_what_jpeg_refuses():
    with pytest.raises(BadInput, match="1 or 3 channels; these have 2"):
        jpeg(torch.rand(1, 2, 8, 8))
    for quality in (0, 96):
        with pytest.raises(BadInput, match=f"lies in 1 … 95; got {quality}"):
            jpeg(torch.rand(1, 3, 8, 8), quality=quality)
