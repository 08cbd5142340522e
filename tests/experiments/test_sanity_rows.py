"""The random map and the edge detector get every number that an explanation gets."""

import pytest
import torch

from pellucid.data import fashion_mnist_mini
from pellucid.experiments.suite import METRICS, Batch, clean, explainer
from pellucid.models import lenet
from pellucid.models.initialisation import initialised


@pytest.fixture(scope="module")
def model():
    return initialised(lambda: lenet(channels=1, classes=10, image_size=28), 0).double().eval()


def measured(model, name, ids):
    x = fashion_mnist_mini(None, "test").batch(ids)[0].double()
    with torch.no_grad():
        y = model(x).argmax(1)
    return clean(Batch(model, x, y, ids, explainer(name)), METRICS, seed=0)


def test_a_random_map_is_perfectly_stable_and_no_sparser_than_chance(model):
    row = measured(model, "random_map", list(range(12)))
    for name in ("ssim", "spearman", "cosine"):
        known = row[name][~row[name].isnan()]
        assert len(known)
        torch.testing.assert_close(known, torch.ones_like(known))
    assert row["gini"].mean().item() == pytest.approx(2**0.5 - 1, abs=0.01)
    assert (row["ros_norm_numerator"].nan_to_num() == 0).all()


def test_a_random_map_belongs_to_its_image(model):
    together, alone = measured(model, "random_map", [3, 4, 5]), measured(model, "random_map", [4])
    torch.testing.assert_close(together["gini"][1], alone["gini"][0])
    assert together["gini"].unique().numel() == 3


def test_an_edge_detector_can_be_measured(model):
    row = measured(model, "edge-detector", list(range(4)))
    assert set(row) >= {"gini", "ssim", "ros_norm", "road"}
    assert ((row["gini"] > 0) & (row["gini"] < 1)).all()
