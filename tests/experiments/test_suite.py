"""The whole measurement: the same per-image numbers at any batch size, and every value where it belongs."""

from dataclasses import replace

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from pellucid.data import fashion_mnist_mini
from pellucid.experiments.suite import METRICS, Batch, clean, explainer, headline, legacy
from pellucid.experiments.suite.evidence import budget_for
from pellucid.gradients import centred_logit_of, input_gradient
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


@pytest.mark.parametrize(("channels", "size", "k"), [(1, 28, 100), (3, 32, 100), (3, 224, 1000), (1, 8, 16), (3, 1, 1)])
def test_the_top_k_set_is_at_most_a_quarter_of_the_pixels(model, channels, size, k):
    batch = Batch(model, torch.zeros(1, channels, size, size), torch.zeros(1), [0], explainer("gradient"))
    assert budget_for(batch).k == k


def measured(model, x, explain, size, order, suite=clean, chunk=1024, metrics=METRICS):
    """Rows of all images, measured in batches of `size` in the given order, put back into their own order."""
    with torch.no_grad():
        y = torch.cat([model(part).argmax(1) for part in x.split(1)])
    parts = []
    for chosen in order.split(size):
        batch = Batch(model, x[chosen], y[chosen], chosen.tolist(), explain, chunk=chunk)
        parts.append(suite(batch, metrics, seed=0))
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

    # Textured: in flat parts a max-pooling chooses among equals, and rounding decides where the gradient goes.
    noise = torch.rand(16, *images.shape[1:], dtype=images.dtype, generator=torch.Generator().manual_seed(0))
    textured = 0.9 * images[:16] + 0.1 * noise
    whole = measured(model, textured, explainer("gradient"), 16, torch.arange(16))
    for factor in (1e-6, 1e6):
        other = measured(Scaled(factor), textured, explainer("gradient"), 16, torch.arange(16))
        for key in ("gini", "gini_all_entries", "gini_centred", "ssim", "spearman", "cosine", "road", "ros_norm"):
            torch.testing.assert_close(other[key], whole[key], rtol=1e-6, atol=1e-9, equal_nan=True, msg=key)


@pytest.mark.parametrize("suite", [clean, legacy])
@pytest.mark.parametrize(("name", "options"), [("gradient", {}), ("smooth_grad", {"draws": 3})])
@pytest.mark.parametrize("chunk", [1, 5, 40])
def test_how_many_images_a_pass_has_changes_no_number(model, images, name, options, suite, chunk):
    explain, count, metrics = explainer(name, options), 12, [*METRICS, "groups", "held_out", "diffroad"]
    if name == "gradient" and suite is clean:
        metrics += ["misalignment", "curvature"]
    whole, other = (
        measured(model, images[:count], explain, count, torch.arange(count), suite, size, metrics)
        for size in (1024, chunk)
    )
    assert list(whole) == list(other)
    for key, values in whole.items():
        torch.testing.assert_close(other[key], values, rtol=1e-7, atol=1e-9, equal_nan=True, msg=key)


class Passes:
    """Counts images that go through a model, those of them that come back as gradients, and the largest pass."""

    def __init__(self, model):
        self.forward = self.backward = self.largest = 0
        self.hook = model.register_forward_pre_hook(self.see)

    def see(self, _, inputs):
        x = inputs[0]
        self.forward, self.largest = self.forward + len(x), max(self.largest, len(x))
        if x.requires_grad:
            x.register_hook(self.back)

    def back(self, gradient):
        self.backward += len(gradient)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.hook.remove()


def passes(model, images, name, suite, chunk, metrics=METRICS):
    with torch.no_grad():
        y = model(images).argmax(1)
    with Passes(model) as counted:
        suite(Batch(model, images, y, list(range(len(images))), explainer(name), chunk=chunk), metrics, seed=0)
    assert counted.largest <= chunk
    return counted.forward / len(images), counted.backward / len(images)


@pytest.mark.parametrize("chunk", [3, 16, 1024])
def test_every_pass_is_made_once(model, images, chunk):
    """8 levels of noise, 16 or 5 draws of ROS, 20 levels of ROAD, and its control with a random map."""
    images = images[:10]
    assert passes(model, images, "gradient", clean, chunk) == (1 + 8 + 16 + 20 + 20, 2 + 8 + 16)
    assert passes(model, images, "gradient", clean, chunk, ["ssim"]) == (1 + 8, 1 + 8)
    assert passes(model, images, "gradient", legacy, chunk) == (1 + 8 + 5 + 20, 1 + 8 + 5)
    assert passes(model, images, "edge_detector", clean, chunk) == (1 + 8 + 16 + 20, 0)  # logits only
    assert passes(model, images[:2], "integrated_gradients", clean, chunk, ["ros"]) == (17 * 51, 17 * 50)


def test_the_gradient_of_the_centred_logit_is_that_of_a_pass_of_its_own(model, images):
    y = torch.zeros(10, dtype=torch.int64)
    batch = Batch(model, images[:10], y, list(range(10)), explainer("gradient"), chunk=4)
    centred, alone = batch.centred, replace(batch, chunk=10)
    torch.testing.assert_close(centred, input_gradient(model, images[:10], centred_logit_of(y))[1])
    torch.testing.assert_close(batch.attribution, alone.attribution)
    torch.testing.assert_close(batch.logits, alone.logits)


def peak(work):
    """The most bytes that tensors held at once during the work, beyond what they held before."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        work()
    held, most = 0, 0
    for event in sorted(profiled.profiler.kineto_results.events(), key=lambda event: event.start_ns()):
        if event.name() == "[memory]":
            held += event.nbytes()
            most = max(most, held)
    return most


def test_memory_grows_with_the_pass_and_not_with_images_or_draws(model, images, monkeypatch):
    """The solver of ROAD's imputation keeps buffers of its own between calls, so they are warmed up first."""

    def needed(suite, count, chunk, metrics):
        x = images[torch.arange(count) % COUNT]
        batch = Batch(model, x, torch.zeros(count, dtype=torch.int64), list(range(count)), explainer("gradient"))
        suite(replace(batch, chunk=chunk), metrics, seed=0)
        return peak(lambda: suite(replace(batch, chunk=chunk), metrics, seed=0))

    for suite in (clean, legacy):
        few, more = (needed(suite, 64, chunk, ["gini", "ssim", "ros"]) for chunk in (32, 128))
        assert 2 < more / few < 4.5
        # Of an image more it keeps the row, the maps and the gradients, not the passes.
        grown = needed(suite, 128, 32, ["gini", "ssim", "ros"]) - few
        assert grown < 64 * 784 * 8 * 12
    few = needed(clean, 16, 32, ["ssim"])
    levels = tuple(torch.linspace(0.01, 0.2, 32).tolist())
    monkeypatch.setattr(headline, "NOISE_LEVELS", levels)
    monkeypatch.setitem(headline.HEADLINE, "ssim", headline.Measurement(headline.similarity_row, len(levels)))
    assert needed(clean, 16, 32, ["ssim"]) < 1.1 * few
