import importlib

import pytest
import torch

from pellucid.data import block_fashion, fashion_mnist_mini

module = importlib.import_module("pellucid.data.block_fashion")  # the name in the package is the function


@pytest.fixture(scope="module")
def both():
    return {split: block_fashion(None, split) for split in ("train", "test")}


def quadrants(images):
    """[N, 4, 14, 14] in reading order."""
    return torch.stack([images[:, 0, r : r + 14, c : c + 14] for r in (0, 14) for c in (0, 14)], dim=1)


def test_sizes_and_classes(both):
    for split, count in (("train", 10_000), ("test", 2000)):
        data, source = both[split], fashion_mnist_mini(None, split)
        assert data.images.shape == data.attention.shape == (count, 1, 28, 28)
        assert data.attention.dtype == torch.uint8
        assert (data.name, data.split, data.classes) == ("block-fashion", split, source.classes)
        assert torch.equal(data.labels, source.labels)
        assert torch.equal(data.ids, source.ids)


def test_the_truth_is_one_quadrant_and_the_garment_is_in_it(both):
    data, source = both["test"], fashion_mnist_mini(None, "test")
    truth = quadrants(data.attention).flatten(2)
    assert (truth.amin(2) == truth.amax(2)).all()
    assert (truth.amax(2) == 255).sum(1).eq(1).all()
    assert (truth.amax(2) > 0).sum(1).eq(1).all()
    seen = quadrants(data.images)[truth[:, :, 0] == 255]
    pixels = source.images[:, 0].double()
    halved = (pixels[:, ::2, ::2] + pixels[:, 1::2, ::2] + pixels[:, ::2, 1::2] + pixels[:, 1::2, 1::2]) / 4
    assert (seen - halved).abs().max() <= 0.5


def test_outside_of_the_truth_all_images_are_the_same_pattern(both):
    for data in both.values():
        null = quadrants(data.images)[quadrants(data.attention)[:, :, 0, 0] == 0]
        assert len(null) == 3 * len(data)
        assert (null == module.pattern()).all()


def test_the_pattern_is_as_bright_as_the_garments_and_changes_every_two_pixels(both):
    garments = both["train"].images[both["train"].attention == 255].double().mean()
    assert module.pattern().double().mean().item() == pytest.approx(garments.item(), abs=0.5)
    pattern = module.pattern().int()
    assert (pattern[:-2] != pattern[2:]).all()
    assert (pattern[:, :-2] != pattern[:, 2:]).all()
    assert (pattern[::2] == pattern[1::2]).all()


def test_the_quadrant_is_random_and_does_not_tell_the_class(both):
    data = both["train"]
    place = (quadrants(data.attention)[:, :, 0, 0] == 255).int().argmax(1)
    table = torch.zeros(10, 4).index_put_((data.labels, place), torch.ones(()), accumulate=True)
    assert ((table - 250).abs() < 60).all()  # 4 standard deviations of a binomial(1000, ¼) are 55
    test = (quadrants(both["test"].attention)[:, :, 0, 0] == 255).int().argmax(1)
    assert (place[:2000] == test).float().mean() < 0.3  # the same ids in another split have their own draws


def test_it_is_the_same_every_time(both):
    again = block_fashion(None, "test")
    assert again.digest() == both["test"].digest()
    assert again.digest().startswith("a78d08cc641d76ea")
