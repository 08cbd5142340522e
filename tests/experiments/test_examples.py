"""The pictures that a measurement keeps."""

import io

import numpy as np
import pytest
import torch

from pellucid.data.dataset import Dataset
from pellucid.experiments.measure.examples import THUMBNAIL, thumbnails


def images(channels, height, width):
    pixels = torch.randint(256, (3, channels, height, width), generator=torch.Generator().manual_seed(0))
    return Dataset("some", "test", pixels.to(torch.uint8), torch.tensor([0, 1, 0]), ("a", "b"), torch.tensor([4, 7, 9]))


def kept(dataset):
    with np.load(io.BytesIO(thumbnails(dataset))) as file:
        return file["ids"], file["images"]


def test_small_images_are_kept_to_the_byte():
    dataset = images(1, 28, 20)
    ids, small = kept(dataset)
    assert ids.tolist() == [4, 7, 9]
    np.testing.assert_array_equal(small, dataset.images.permute(0, 2, 3, 1).numpy())


@pytest.mark.parametrize(
    ("shape", "small"), [((96, 96), (48, 48)), ((224, 112), (48, 24)), ((50, 49), (48, 47)), ((3000, 40), (48, 1))]
)
def test_large_ones_are_averaged_down(shape, small):
    dataset = images(3, *shape)
    _, found = kept(dataset)
    assert found.shape == (3, *small, 3)
    assert found.dtype == np.uint8
    assert max(found.shape[1:3]) == THUMBNAIL
    assert found.mean() == pytest.approx(dataset.images.float().mean().item(), abs=1)


def test_halving_is_the_mean_of_four_pixels():
    dataset = images(1, 96, 96)
    _, found = kept(dataset)
    blocks = dataset.images.float().reshape(3, 48, 2, 48, 2).mean((2, 4)).round()
    np.testing.assert_array_equal(found[..., 0], blocks.numpy())
