"""Stimuli tell nothing but their pixels."""

import io
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pellucid.study.stimuli import SHOWN, as_png, opaque_names, pair, signed


def chunks(png):
    place, found = 8, []
    while place < len(png):
        (length,) = struct.unpack(">I", png[place : place + 4])
        found.append(png[place + 4 : place + 8].decode())
        place += 12 + length
    return found


def image_and_map(seed=0, side=8, channels=1):
    rng = np.random.default_rng(seed)
    return rng.random((channels, side, side)), rng.random((side, side))


def test_a_noisy_and_an_empty_map_take_the_same_bytes_and_no_metadata():
    image, noisy = image_and_map(side=32)
    maps = {"noisy": noisy, "empty": np.zeros((32, 32)), "dot": np.eye(32) * (np.arange(32) == 3)}
    pictures = {name: pair(image, values, diverging=False) for name, values in maps.items()}
    files = as_png(pictures)
    assert len({len(content) for content in files.values()}) == 1
    for name, content in files.items():
        assert set(chunks(content)) == {"IHDR", "IDAT", "IEND"}
        with Image.open(io.BytesIO(content)) as opened:
            assert opened.info == {}
            assert opened.mode == "RGB"
            np.testing.assert_array_equal(np.asarray(opened), pictures[name])


@given(st.lists(st.integers(0, 2**31), min_size=1, max_size=6), st.integers(1, 9), st.integers(1, 9))
def test_any_pictures_of_one_size_become_files_of_one_size(seeds, height, width):
    pictures = {}
    for number, seed in enumerate(seeds):
        rng = np.random.default_rng(seed)
        pictures[str(number)] = rng.integers(0, 1 + seed % 256, (height, width, 3), dtype=np.uint8)
    files = as_png(pictures)
    assert len({len(content) for content in files.values()}) == 1
    for name, content in files.items():
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(content))), pictures[name])


def test_a_map_looks_the_same_at_any_scale():
    image, values = image_and_map()
    for factor in (1e-6, 3.0, 1e6):
        np.testing.assert_array_equal(
            pair(image, factor * values, diverging=False), pair(image, values, diverging=False)
        )


def test_the_image_stands_left_and_its_pixels_are_exact():
    image, values = image_and_map(channels=3)
    both = pair(image, values, diverging=False)
    times = SHOWN // 8
    assert both.shape == (8 * times, 16 * times, 3)
    left = both[times // 2 :: times, times // 2 :: times][:, :8]
    np.testing.assert_array_equal(left, np.rint(255 * image.transpose(1, 2, 0)).astype(np.uint8))


def test_bright_is_important_and_nothing_is_black():
    image, _ = image_and_map()
    values = np.zeros((8, 8))
    values[2, 3] = 5.0
    right = pair(image, values, diverging=False)[::40, ::40][:, 8:].astype(int).sum(-1)
    assert right[2, 3] == right.max() > 600
    assert (np.delete(right.ravel(), 2 * 8 + 3) < 20).all()


def test_a_map_of_zeros_or_nan_is_drawn():
    image, values = image_and_map()
    zero = pair(image, np.zeros((8, 8)), diverging=False)
    np.testing.assert_array_equal(zero, pair(image, np.full((8, 8), np.nan), diverging=False))
    assert pair(image, -values, diverging=True).shape == zero.shape


def test_one_negative_entry_makes_all_maps_diverging():
    assert not signed([np.zeros((2, 2)), np.ones((2, 2))])
    assert signed([np.ones((2, 2)), np.array([[0.0, -1e-9]])])


def test_large_images_are_not_made_smaller():
    image, values = image_and_map(side=2 * SHOWN)
    assert pair(image, values, diverging=False).shape == (2 * SHOWN, 4 * SHOWN, 3)


def test_names_are_opaque_and_new():
    names = opaque_names(50)
    assert len(set(names)) == 50
    assert all(len(name) == 16 and int(name, 16) >= 0 for name in names)
    assert set(names).isdisjoint(opaque_names(50))


@pytest.mark.parametrize("channels", [1, 3])
def test_grey_and_coloured_images_come_in_the_same_mode(channels):
    image, values = image_and_map(channels=channels)
    assert pair(image, values, diverging=False).shape[-1] == 3
