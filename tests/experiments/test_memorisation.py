import pytest
import torch
from torch import nn

from pellucid.data.dataset import Dataset
from pellucid.data.label_noise import flip_labels
from pellucid.errors import BadInput
from pellucid.experiments.memorisation import memorised


@pytest.fixture
def clean():
    """Images whose class can be read off: the brightest of three pixels."""
    labels = torch.arange(600) % 3
    images = torch.randint(0, 100, (600, 1, 1, 3), generator=torch.Generator().manual_seed(0))
    images[torch.arange(600), 0, 0, labels] = 200
    return Dataset("bright", "train", images.to(torch.uint8), labels, ("a", "b", "c"), torch.arange(600))


class Reads(nn.Module):
    """Predicts the brightest pixel, `shift` classes further on; in train mode it fails."""

    def __init__(self, shift=0):
        super().__init__()
        self.weight, self.shift = nn.Parameter(torch.ones(())), shift

    def forward(self, x):
        assert not self.training
        return self.weight * x.flatten(1).roll(self.shift, 1)


def test_a_model_that_sees_the_truth_memorises_nothing(clean):
    noisy, flipped = flip_labels(clean, 0.1, seed=0)
    found = memorised(Reads(), noisy, flipped)
    assert torch.equal(found.isnan(), ~flipped)
    assert found.nanmean() == 0
    assert found.dtype == torch.float64


def test_counts_the_wrong_labels_that_are_predicted(clean):
    noisy, flipped = flip_labels(clean, 0.6, seed=0)
    model = Reads(shift=1).train()
    found = memorised(model, noisy, flipped)
    assert model.training
    expected = ((noisy.labels - clean.labels) % 3 == 1)[flipped]
    assert torch.equal(found[flipped] == 1, expected)
    assert 0.4 < found.nanmean() < 0.6


def test_without_flipped_labels_nothing_is_defined(clean):
    assert memorised(Reads(), clean, torch.zeros(600, dtype=torch.bool)).isnan().all()


@pytest.mark.parametrize("flipped", [torch.zeros(599, dtype=torch.bool), torch.zeros(600)])
def test_refuses_marks_that_are_not_one_bool_an_image(clean, flipped):
    with pytest.raises(BadInput, match=r"600 images need flipped as bool \[N\]"):
        memorised(Reads(), clean, flipped)
