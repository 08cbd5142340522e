"""The data set in memory: what it refuses, batches, digests, the validation split, channel statistics."""

import hashlib
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pellucid.data.dataset import Dataset, channel_statistics, split_validation
from pellucid.errors import BadInput


def made_up(per_class, *, channels=1, side=2) -> Dataset:
    """Classes of the given sizes, mixed; every image's first pixel is its id modulo 256."""
    labels = torch.repeat_interleave(torch.arange(len(per_class)), torch.tensor(per_class, dtype=torch.int64))
    labels = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(3))]
    images = torch.randint(0, 256, (len(labels), channels, side, side), dtype=torch.uint8)
    ids = torch.arange(len(labels))
    images[:, 0, 0, 0] = (ids % 256).to(torch.uint8)
    return Dataset("made-up", "train", images, labels, tuple(f"class {k}" for k in range(len(per_class))), ids)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("images", torch.full((4, 1, 2, 2), 1.5), "float32 [4, 1, 2, 2] with values from 1.5 to 1.5"),
        ("images", torch.zeros(4, 2, 2, dtype=torch.uint8), "[4, 2, 2]"),
        ("labels", torch.tensor([0, 1, 2, 0]), "must lie in 0 … 1; saw 0 to 2"),
        ("labels", torch.tensor([0, 1, -1, 0]), "saw -1 to 1"),
        ("labels", torch.tensor([0, 1, 0]), "4 images but 3 labels"),
        ("labels", torch.tensor([0, 1, 0, 1], dtype=torch.int32), "int32"),
        ("ids", torch.arange(5), "4 images but 5 ids"),
    ],
)
def test_construction_says_what_was_seen(field, value, said):
    fields = {
        "images": torch.zeros(4, 1, 2, 2, dtype=torch.uint8),
        "labels": torch.tensor([0, 1, 0, 1]),
        "ids": torch.arange(4),
    }
    Dataset("d", "train", classes=("a", "b"), **fields)
    with pytest.raises(BadInput) as caught:
        Dataset("d", "train", classes=("a", "b"), **(fields | {field: value}))
    assert said in str(caught.value)


def test_empty_data_set_is_allowed():
    empty = made_up([2, 2]).subset([])
    assert len(empty) == 0
    assert empty.batch([])[0].shape == (0, 1, 2, 2)


def test_batch_is_pixels_over_255_in_the_asked_order():
    data = made_up([5, 5], channels=3)
    x, y = data.batch([7, 0, 7])
    assert x.dtype == torch.float32
    assert y.dtype == torch.int64
    expected = data.images.numpy()[[7, 0, 7]].astype(np.float32) / np.float32(255)
    np.testing.assert_array_equal(x.numpy(), expected)
    assert y.tolist() == [data.labels[i].item() for i in (7, 0, 7)]
    before = data.images.clone()
    x.zero_()
    assert torch.equal(data.images, before), "a batch shares no memory with the data set"


def test_batch_mates_change_nothing():
    data = made_up([20, 13])
    together = data.batch(range(33))[0]
    assert torch.equal(together, torch.cat([data.batch([i])[0] for i in range(33)]))


def test_subset_keeps_ids_through_two_steps():
    data = made_up([5, 5])
    twice = data.subset([9, 3, 1]).subset(torch.tensor([2, 0]))
    assert twice.ids.tolist() == [1, 9]
    assert torch.equal(twice.images, data.images[[1, 9]])
    assert torch.equal(twice.labels, data.labels[[1, 9]])


def test_image_size_and_channels():
    data = made_up([2, 2], channels=3, side=7)
    assert (data.channels, data.image_size) == (3, 7)
    wide = Dataset("d", "train", torch.zeros(1, 1, 2, 5, dtype=torch.uint8), torch.tensor([0]), ("a",), torch.arange(1))
    with pytest.raises(BadInput, match="5 × 2"):
        _ = wide.image_size


def test_digest_is_sha256_of_shape_pixels_and_labels():
    data = made_up([3, 4], channels=3)
    expected = hashlib.sha256(b"(7, 3, 2, 2)" + data.images.numpy().tobytes() + data.labels.numpy().tobytes())
    assert data.digest() == expected.hexdigest()


def test_digest_sees_pixels_labels_shape_and_order_but_not_memory_layout():
    data = made_up([4, 4])
    flipped = data.images.clone()
    flipped[5, 0, 1, 1] ^= 1
    relabelled = data.labels.clone()
    relabelled[2] = 1 - relabelled[2]
    others = [
        Dataset("d", "train", flipped, data.labels, data.classes, data.ids),
        Dataset("d", "train", data.images, relabelled, data.classes, data.ids),
        Dataset("d", "train", data.images.view(8, 1, 1, 4), data.labels, data.classes, data.ids),
        data.subset([1, 0, *range(2, 8)]),
    ]
    assert len({data.digest(), *(other.digest() for other in others)}) == 5
    strided = data.images.permute(0, 1, 3, 2).contiguous().permute(0, 1, 3, 2)
    assert Dataset("d", "train", strided, data.labels, data.classes, data.ids).digest() == data.digest()


def webster(per_class: list[int], seats: int) -> list[int]:
    """Sainte-Laguë's apportionment in exact fractions, seat by seat; 1 to n - 1 of each class of n."""
    given_out = [1] * len(per_class)
    for _ in range(seats - len(per_class)):
        open_classes = [k for k, n in enumerate(per_class) if given_out[k] < n - 1]
        best = max(open_classes, key=lambda k: (Fraction(per_class[k], 2 * given_out[k] + 1), -k))
        given_out[best] += 1
    return given_out


@st.composite
def splits(draw):
    per_class = draw(st.lists(st.integers(2, 40), min_size=1, max_size=6))
    size = draw(st.integers(len(per_class), sum(per_class) - len(per_class)))
    return per_class, size, draw(st.integers(0, 2**40))


@given(splits())
@settings(deadline=None, max_examples=60)
def test_split_is_a_stratified_partition(case):
    per_class, size, seed = case
    data = made_up(per_class)
    train, validation = split_validation(data, size, seed=seed)
    assert (train.split, validation.split) == ("train", "validation")
    assert sorted(train.ids.tolist() + validation.ids.tolist()) == list(range(len(data)))
    assert torch.bincount(validation.labels, minlength=len(per_class)).tolist() == webster(per_class, size)
    for part in (train, validation):
        assert torch.equal(part.images, data.images[part.ids])
        assert torch.equal(part.labels, data.labels[part.ids])
        assert part.ids.tolist() == sorted(part.ids.tolist())


def test_split_depends_on_the_seed_alone():
    data = made_up([100, 100])
    state = torch.get_rng_state()
    first = split_validation(data, 50, seed=1)[1].ids
    assert torch.equal(torch.get_rng_state(), state), "the global generator was used"
    torch.manual_seed(7)
    assert torch.equal(split_validation(data, 50, seed=1)[1].ids, first)
    assert not torch.equal(split_validation(data, 50, seed=2)[1].ids, first)


def test_split_draws_every_image_equally_often():
    data = made_up([6, 10])
    seeds = 2000
    drawn = torch.cat([split_validation(data, 8, seed=seed)[1].ids for seed in range(seeds)])
    share = torch.bincount(drawn, minlength=16) / seeds
    assert (share - 0.5).abs().max() < 0.06  # standard error 0.011


def test_split_by_share():
    train, validation = split_validation(made_up([50, 50]), 0.1, seed=0)
    assert (len(train), len(validation)) == (90, 10)
    assert torch.bincount(validation.labels).tolist() == [5, 5]


@pytest.mark.parametrize("size", [0, 1, 9, 10, -3, 0.0, 0.99, 2.0])
def test_split_too_small_for_every_class_on_both_sides(size):
    with pytest.raises(BadInput, match="2 to 8 are possible"):
        split_validation(made_up([5, 5]), size, seed=0)


def test_split_names_the_class_with_one_image():
    with pytest.raises(BadInput, match="'class 1'.*1 image"):
        split_validation(made_up([5, 1, 5]), 4, seed=0)


def test_split_ignores_classes_without_images():
    validation = split_validation(made_up([5, 0, 5]), 4, seed=0)[1]
    assert torch.bincount(validation.labels).tolist() == [2, 0, 2]


@given(st.integers(1, 3), st.integers(2, 9), st.integers(0, 2**30))
@settings(deadline=None, max_examples=25)
def test_channel_statistics_against_numpy(channels, count, seed):
    images = np.random.default_rng(seed).integers(0, 256, (count, channels, 3, 4), dtype=np.uint8)
    data = Dataset("d", "train", torch.from_numpy(images), torch.zeros(count).long(), ("a",), torch.arange(count))
    mean, std = channel_statistics(data)
    pixels = images.astype(np.float64) / 255
    np.testing.assert_allclose(mean, pixels.mean((0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(std, pixels.std((0, 2, 3)), rtol=1e-12)


def test_channel_statistics_refuse_a_constant_channel():
    images = torch.randint(0, 256, (4, 3, 5, 5), dtype=torch.uint8)
    images[:, 1] = 77
    data = Dataset("d", "train", images, torch.zeros(4).long(), ("a",), torch.arange(4))
    with pytest.raises(BadInput, match="channel 1 "):
        channel_statistics(data)


def with_maps(data):
    maps = torch.randint(0, 256, (len(data), 1, *data.images.shape[2:]), dtype=torch.uint8)
    return replace(data, attention=maps)


def test_attention_follows_the_images():
    data = with_maps(made_up([20, 20], channels=3))
    chosen = data.subset([9, 3, 1])
    assert torch.equal(chosen.attention, data.attention[[9, 3, 1]])
    for part in split_validation(data, 0.25, seed=0):
        assert torch.equal(part.attention, data.attention[part.ids])
    assert made_up([2, 2]).subset([1]).attention is None


def test_attention_batch_is_values_over_255_in_the_asked_order():
    data = with_maps(made_up([5, 5], channels=3))
    maps = data.attention_batch([7, 0, 7])
    assert maps.dtype == torch.float32
    np.testing.assert_array_equal(maps.numpy(), data.attention.numpy()[[7, 0, 7]].astype(np.float32) / np.float32(255))
    before = data.attention.clone()
    maps.zero_()
    assert torch.equal(data.attention, before), "a batch shares no memory with the data set"


def test_without_maps_the_ways_to_them_are_named():
    with pytest.raises(BadInput, match=r"made-up \(train\) has no attention maps: use cub-gha.*attention: garment"):
        made_up([2, 2]).attention_batch([0])


@pytest.mark.parametrize(
    ("maps", "said"),
    [
        (torch.full((4, 1, 2, 2), 0.5), "float32 [4, 1, 2, 2] with values from 0.5 to 0.5"),
        (torch.zeros(3, 1, 2, 2, dtype=torch.uint8), "uint8 [4, 1, 2, 2], 0 … 255; got uint8 [3, 1, 2, 2]"),
        (torch.zeros(4, 3, 2, 2, dtype=torch.uint8), "uint8 [4, 3, 2, 2]"),
        (torch.zeros(4, 1, 2, 5, dtype=torch.uint8), "uint8 [4, 1, 2, 5]"),
        (torch.zeros(4, 2, 2, dtype=torch.uint8), "uint8 [4, 2, 2]"),
    ],
)
def test_impossible_maps_are_refused(maps, said):
    with pytest.raises(BadInput) as caught:
        replace(made_up([2, 2], channels=3), attention=maps)
    assert said in str(caught.value)


def test_digest_sees_the_maps():
    plain = made_up([4, 4])
    first = with_maps(plain)
    changed = first.attention.clone()
    changed[7, 0, 1, 1] ^= 1
    assert len({plain.digest(), first.digest(), replace(first, attention=changed).digest()}) == 3
    assert replace(first, attention=None).digest() == plain.digest()
