"""The whole measurement: the same per-image numbers at any batch size, and every value where it belongs."""

import pytest
import torch

from pellucid.data import fashion_mnist_mini
from pellucid.experiments.suite import METRICS, Batch, clean, explainer, legacy
from pellucid.models import lenet
from pellucid.models.initialisation import initialised
from pellucid.models.normalised import normalised

COUNT = 64


@pytest.fixture(scope="module")
def model():
    network = initialised(lambda: lenet(channels=1, classes=10, image_size=28), 0)
    return normalised(network, (0.286,), (0.353,)).double().eval()


@pytest.fixture(scope="module")
def images():
    return fashion_mnist_mini(None, "test").batch(range(0, 2000, 31))[0][:COUNT].double()


def measured(model, x, explain, size, order, suite=clean):
    """Rows of all images, measured in batches of `size` in the given order, put back into their own order."""
    with torch.no_grad():
        y = torch.cat([model(part).argmax(1) for part in x.split(1)])
    parts = []
    for chosen in order.split(size):
        batch = Batch(model, x[chosen], y[chosen], chosen.tolist(), explain)
        parts.append(suite(batch, METRICS, seed=0))
    back = order.argsort()
    return {name: torch.cat([part[name] for part in parts])[back] for name in parts[0]}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("gradient", {}),
        ("integrated_gradients", {"steps": 3}),
        ("input_x_gradient", {}),
        ("smooth_grad", {"draws": 2}),
    ],
)
@pytest.mark.parametrize("suite", [clean, legacy])
def test_batch_size_and_batch_mates_change_no_number(model, images, name, options, suite):
    count = COUNT if name == "gradient" else 16
    images = images[:count]
    explain = explainer(name, options)
    whole = measured(model, images, explain, COUNT, torch.arange(count), suite)
    shuffled = torch.randperm(count, generator=torch.Generator().manual_seed(1))
    for size, order in ((1, torch.arange(count)), (7, torch.arange(count)), (7, shuffled)):
        other = measured(model, images, explain, size, order, suite)
        for key, values in whole.items():
            if key == "gini_legacy":
                continue  # the published Gini depends on the loader batch: that is what its legacy form is for
            torch.testing.assert_close(other[key], values, rtol=1e-7, atol=1e-9, equal_nan=True, msg=f"{key} at {size}")


def test_values_are_defined_and_in_range(model, images):
    rows = measured(model, images, explainer("gradient"), 32, torch.arange(COUNT))
    assert rows["road"].dtype == torch.bool
    assert rows["road"].shape == rows["road_random"].shape == (COUNT, 20)
    assert rows["ssim"].shape == rows["spearman"].shape == rows["cosine"].shape == (COUNT, 8)
    for name in ("gini", "gini_all_entries", "gini_centred"):
        assert ((rows[name] > 0) & (rows[name] < 1 - 1 / 784)).all()
    assert (rows["scale"] > 0).all()
    assert not rows["zero_map"].any()
    assert (rows["ros_norm_valid_draws"] <= 16).all()
    known = ~rows["ssim"].isnan()
    assert known.any()
    assert (rows["ssim"][known] <= 1).all()


def test_small_noise_changes_a_map_less_than_large_noise(model, images):
    found = measured(model, images, explainer("gradient"), 32, torch.arange(COUNT))["ssim"].nanmean(0)
    assert found[0] > found[-1]


def test_the_clean_suite_ignores_the_scale_of_the_logits(model, images):
    class Scaled(torch.nn.Module):
        def __init__(self, factor):
            super().__init__()
            self.factor = factor

        def forward(self, x):
            return self.factor * model(x)

    whole = measured(model, images[:16], explainer("gradient"), 16, torch.arange(16))
    for factor in (1e-6, 1e6):
        other = measured(Scaled(factor), images[:16], explainer("gradient"), 16, torch.arange(16))
        for key in ("gini", "gini_all_entries", "gini_centred", "ssim", "spearman", "cosine", "road", "ros_norm"):
            torch.testing.assert_close(other[key], whole[key], rtol=1e-6, atol=1e-9, equal_nan=True, msg=key)
