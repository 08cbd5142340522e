"""Masks of garments: against filling one image at a time, by hand, and what is no garment."""

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_fill_holes, label

from pellucid.data import fashion_mnist_mini
from pellucid.data.object_mask import object_mask
from pellucid.errors import BadInput


def image(*rows):
    """A grey image of the digits in the rows, times 20."""
    return 20 * torch.tensor([[[int(digit) for digit in row] for row in rows]], dtype=torch.uint8)


def test_a_ring_is_filled_and_a_bay_is_not():
    ring, bay = image("000000", "066600", "060600", "066600"), image("000000", "066600", "060000", "066600")
    mask = object_mask(torch.stack([ring, bay]))
    assert torch.equal(mask[0], 255 * (image("000000", "011100", "011100", "011100") > 0).byte())
    assert torch.equal(mask[1], 255 * (bay > 0).byte())
    assert mask.dtype == torch.uint8


def test_a_diagonal_closes_and_the_border_is_open():
    diamond, corner = image("0060", "0606", "0060", "0000"), image("0060", "0600", "6000", "0000")
    assert object_mask(diamond[None])[0, 0, 1, 2] == 255
    assert object_mask(corner[None]).sum() == 3 * 255


def test_images_do_not_fill_each_other():
    """Between two full images an empty one stays empty, and a hole above another hole is one all the same."""
    full, ring = image("666", "666", "666"), image("666", "606", "666")
    assert object_mask(torch.stack([full, 0 * full, full]))[1].sum() == 0
    assert (object_mask(torch.stack([ring, ring])) == 255).all()


def test_all_garments_as_one_by_one():
    images = fashion_mnist_mini(None, "test").images[:500]
    masks = object_mask(images)
    expected = [255 * binary_fill_holes(one.numpy() > 8) for one in images[:, 0]]
    np.testing.assert_array_equal(masks[:, 0].numpy(), np.stack(expected))
    parts = [label(mask, np.ones((3, 3)))[1] for mask in masks[:, 0].numpy()]
    assert np.mean(np.array(parts) == 1) > 0.9, "a garment is one piece"
    border = torch.cat([masks[..., 0], masks[..., -1]], -1) > 0
    assert border.double().mean() < 0.2, "the background is no garment"


def test_the_threshold_itself_is_background():
    grey = torch.tensor([[[[8, 9]]]], dtype=torch.uint8)
    assert object_mask(grey).flatten().tolist() == [0, 255]
    assert object_mask(grey, threshold=9).flatten().tolist() == [0, 0]


@pytest.mark.parametrize("images", [torch.zeros(2, 3, 4, 4, dtype=torch.uint8), torch.zeros(2, 1, 4, 4)])
def test_only_grey_images_of_bytes(images):
    with pytest.raises(BadInput, match=r"needs grey images, uint8 \[N, 1, H, W\]; got torch"):
        object_mask(images)
