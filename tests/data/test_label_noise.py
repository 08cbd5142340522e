import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pellucid.data.dataset import Dataset
from pellucid.data.label_noise import flip_labels
from pellucid.errors import BadInput


def labelled(count, classes=5):
    labels = torch.arange(count) % classes
    names = tuple("abcdefghij"[:classes])
    return Dataset("d", "train", torch.zeros(count, 1, 2, 2, dtype=torch.uint8), labels, names, torch.arange(count) + 7)


@given(count=st.integers(1, 60), share=st.floats(0, 1), seed=st.integers(0, 99))
def test_exactly_the_flipped_labels_differ(count, share, seed):
    data = labelled(count)
    noisy, flipped = flip_labels(data, share, seed=seed)
    assert torch.equal(noisy.labels != data.labels, flipped)
    assert int(flipped.sum()) == round(share * count)
    assert torch.equal(noisy.ids, data.ids)
    assert noisy.images is data.images
    assert torch.equal(data.labels, torch.arange(count) % 5)


def test_every_other_class_is_drawn_equally_often():
    data = labelled(50_000)
    noisy, flipped = flip_labels(data, 0.8, seed=1)
    shifts = torch.bincount((noisy.labels - data.labels)[flipped] % 5, minlength=5)
    assert shifts[0] == 0
    assert ((shifts[1:] - 10_000).abs() < 400).all()
    per_class = torch.bincount(data.labels[flipped])
    assert ((per_class - 8000).abs() < 200).all()


def test_the_seed_decides():
    data = labelled(200)
    first, again, other = (flip_labels(data, 0.2, seed=seed)[0].labels for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_refuses_a_share_outside_of_0_to_1(share):
    with pytest.raises(BadInput, match=r"must lie in \[0, 1\]"):
        flip_labels(labelled(5), share, seed=0)


def test_refuses_a_single_class():
    with pytest.raises(BadInput, match="no other label"):
        flip_labels(labelled(5, classes=1), 0.1, seed=0)
