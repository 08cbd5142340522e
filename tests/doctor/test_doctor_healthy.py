"""Healthy models get no problem, and no warning but that they are untrained."""

import pytest
import torch
import torchvision
from patients import CLASSES, SIZE, network, patterns, splits, trained
from torch import nn

from pellucid import models
from pellucid.doctor import examine
from pellucid.doctor.engine import case_of, run_checks
from pellucid.models.normalised import normalised
from pellucid.models.smoothing import insert_smoothing

SHAPE = {"channels": 3, "classes": CLASSES, "image_size": SIZE}
LIBRARY = {"num_classes": CLASSES}
UNTRAINED = {
    "lenet": lambda: models.lenet(**SHAPE),
    "small_cnn": lambda: models.small_cnn(**SHAPE),
    "resnet18": lambda: models.resnet18(**SHAPE),
    "wide_resnet": lambda: models.wide_resnet(**SHAPE, depth=10, width=1),
    "vit": lambda: models.vit(**SHAPE, patch=4, width=32, depth=2, heads=2),
    "tv_resnet18": lambda: torchvision.models.resnet18(**LIBRARY),
    "tv_efficientnet_b0": lambda: torchvision.models.efficientnet_b0(**LIBRARY),
    "tv_vit": lambda: torchvision.models.VisionTransformer(SIZE, 4, 2, 2, 32, 64, num_classes=CLASSES),
    "mlp": lambda: nn.Sequential(nn.Flatten(), nn.Linear(3 * SIZE**2, 64), nn.ReLU(), nn.Linear(64, CLASSES)),
    "linear": lambda: nn.Sequential(nn.Flatten(), nn.Linear(3 * SIZE**2, CLASSES)),
    "smoothed": lambda: insert_smoothing(models.lenet(**SHAPE), "pool1", example=torch.rand(2, 3, SIZE, SIZE)),
}


def complaints(findings):
    return {f.check: f.finding for f in findings if f.status in {"problem", "warning"}}


def crashes(findings):
    return {f.check: f.finding for f in findings if "could not be made" in f.finding}


@pytest.mark.parametrize("name", UNTRAINED)
def test_untrained_networks_are_only_called_untrained(name):
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = UNTRAINED[name]().eval()
    findings = run_checks(case_of(model, *splits(), eps=8 / 255, budget=10))
    assert set(complaints(findings)) == {"has_learnt"}
    assert not crashes(findings)


@pytest.mark.parametrize("classes", [2, 3, 40])
def test_so_are_networks_for_few_or_many_classes(classes):
    (x, _), (held_out, _) = splits()
    y, held_out_y = (torch.arange(len(images)) % classes for images in (x, held_out))
    for seed in range(3):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = network(classes).eval()
        findings = run_checks(case_of(model, (x, y), (held_out, held_out_y), eps=8 / 255, budget=2))
        assert set(complaints(findings)) == {"has_learnt"}


def test_a_trained_network_passes():
    findings = examine(trained(), *splits(), eps=8 / 255)
    assert complaints(findings) == {}
    assert crashes(findings) == {}
    assert sum(finding.status == "ok" for finding in findings) >= 40


def test_so_does_one_with_residuals_in_place_relus_and_modules_called_twice():
    torch_relu = nn.ReLU(inplace=True)

    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 16, 3, padding=1)
            self.norm, self.relu, self.head = nn.BatchNorm2d(16), torch_relu, nn.Linear(256, CLASSES)

        def forward(self, x):
            x = self.relu(self.norm(self.first(x)))
            x = self.relu(x + self.second(x))
            return self.head(nn.functional.adaptive_avg_pool2d(x, 4).flatten(1))

    x, y = patterns()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Residual()
        optimizer = torch.optim.Adam(model.parameters(), 0.005)
        for step in range(60):
            chosen = torch.arange(step * 64, step * 64 + 64) % len(x)
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[chosen]), y[chosen]).backward()
            optimizer.step()
    findings = examine(model.eval(), *splits(), eps=8 / 255)
    assert complaints(findings) == {}
    notes = {finding.check: finding.finding for finding in findings}
    assert notes["in_place_activations"].startswith("1 modules work in place")
    assert "1 modules are called more than once, as 'relu' (2)" in notes["modules_called_once"]


def test_one_split_is_enough():
    findings = examine(trained(), patterns())
    assert complaints(findings) == {}
    assert {f.check for f in findings if "only one split" in f.finding} == {
        "duplicates_between_splits",
        "near_duplicates_between_splits",
        "missing_classes",
        "splits_alike",
    }


def test_bytes_are_as_good_as_floating_point():
    (x, y), (held_out, held_out_y) = splits()
    in_bytes = ((x * 255).round().byte(), y), ((held_out * 255).round().byte(), held_out_y)
    assert complaints(examine(trained(), *in_bytes)) == {}


def test_a_normalisation_by_other_constants_is_no_fault_of_an_untrained_network():
    model = normalised(network(), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)).eval()
    findings = run_checks(case_of(model, *splits(), budget=2))
    assert set(complaints(findings)) == {"has_learnt"}


def test_shapes_on_noise_are_no_near_duplicates():
    """Thumbnails of eight by eight pixels average the noise away and look alike; the images do not."""
    draws = torch.Generator().manual_seed(0)

    def shapes(count):
        labels = torch.arange(count) % 2
        noise = 0.3 * torch.rand(count, 3, 64, 64, generator=draws)
        bright = torch.zeros(count, 1, 64, 64)
        for image, label in enumerate(labels):
            row = int(torch.randint(20, 40, (), generator=draws))
            bright[image, :, row : row + 6, 10 : (54 if label else 30)] = 0.6
        return noise + bright, labels

    model = models.lenet(channels=3, classes=2, image_size=64).eval()
    assert "near_duplicates_between_splits" not in complaints(examine(model, shapes(120), shapes(40)))


def test_a_gradient_below_the_rounding_of_the_logits_is_not_called_wrong():
    class Faint(nn.Module):
        def __init__(self):
            super().__init__()
            self.network = models.lenet(**SHAPE)

        def forward(self, x):
            return 5 + 1e-13 * self.network(x)

    findings = {f.check: f for f in run_checks(case_of(Faint().eval(), *splits(), budget=5))}
    assert findings["finite_differences"].status == "not applicable"
    assert "rounding" in findings["finite_differences"].finding
