import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pellucid.data.points import (
    CLASSES,
    CORRUPTIONS,
    FAR,
    POINT_SETS,
    bayes_gradients,
    corrupt,
    draw_points,
    frame_of,
    interior,
)
from pellucid.errors import BadInput
from pellucid.gradients import input_gradient


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", POINT_SETS)
def test_a_set_is_a_function_of_its_generator(name):
    first, again, other = (draw_points(name, 300, generator=seeded(seed)) for seed in (3, 3, 4))
    assert torch.equal(first.x, again.x)
    assert torch.equal(first.y, again.y)
    assert not torch.equal(first.x, other.x)
    assert first.x.shape == (300, 2)
    assert first.x.dtype == torch.float64
    assert sorted(first.y.unique().tolist()) == list(range(CLASSES[name]))
    assert not first.corrupted.any()


def test_without_noise_the_curves_are_the_definitions():
    for name in ("moons", "circles", "spirals"):
        points = POINT_SETS[name](500, generator=seeded(), noise=0.0)
        x, y = points.x, points.y
        if name == "moons":
            centre = torch.where(y[:, None] == 0, torch.tensor([0.0, 0.0]), torch.tensor([1.0, 0.5])).double()
            assert torch.allclose((x - centre).norm(dim=1), torch.ones(500, dtype=torch.float64))
            assert (x[y == 0, 1] >= 0).all()
            assert (x[y == 1, 1] <= 0.5).all()
        elif name == "circles":
            assert torch.allclose(x.norm(dim=1), torch.where(y == 0, 1.0, 0.5).double())
        else:
            turn = x.norm(dim=1)
            assert turn.max() <= 1.5
            phase = torch.atan2(x[:, 1], x[:, 0]) - 2 * math.pi * turn - math.pi * y
            assert torch.allclose(phase.cos(), torch.ones(500, dtype=torch.float64))


def test_noise_has_the_stated_size():
    for name, sd in (("circles", 0.1), ("xor", 0.35), ("blobs", 1.0)):
        points = draw_points(name, 20000, generator=seeded())
        if name == "circles":
            spread = (points.x.norm(dim=1) - torch.where(points.y == 0, 1.0, 0.5).double()).std()
        elif name == "xor":
            spread = (points.x - points.x.sign()).std()
        else:
            spread = torch.stack([points.x[points.y == c].std(0) for c in range(3)]).mean()
        assert spread == pytest.approx(sd, rel=0.03)


def test_xor_is_xor():
    points = draw_points("xor", 5000, generator=seeded())
    assert ((points.x.prod(1) < 0).long() == points.y).double().mean() > 0.98


def test_standardised_points_have_mean_0_and_deviation_1_in_their_own_frame_only():
    train, test = (draw_points("blobs", 400, generator=seeded(seed)) for seed in (0, 1))
    frame = frame_of(train)
    assert torch.allclose(frame.standardised(train).x.mean(0), torch.zeros(2, dtype=torch.float64), atol=1e-12)
    assert torch.allclose(frame.standardised(train).x.std(0), torch.ones(2, dtype=torch.float64))
    assert not torch.allclose(frame.standardised(test).x.std(0), torch.ones(2, dtype=torch.float64))


@given(st.sampled_from(sorted(CORRUPTIONS)), st.sampled_from(["moons", "blobs"]), st.floats(0, 0.5))
def test_a_corruption_changes_the_marked_points_and_no_others(kind, name, rate):
    points = draw_points(name, 120, generator=seeded())
    found = corrupt(points, kind, rate, classes=CLASSES[name], generator=seeded(1))
    kept = ~found.corrupted
    assert torch.equal(found.x[kept], points.x[kept])
    assert torch.equal(found.y[kept], points.y[kept])
    assert len(found) == len(points)
    if kind == "interior":
        assert found.corrupted.sum() == min(round(rate * 120), int(interior(points).sum()))
    else:
        assert found.corrupted.sum() == round(rate * 120)
    if kind == "far":
        away = (found.x[found.corrupted] - points.x.mean(0)).norm(dim=1)
        reach = (points.x - points.x.mean(0)).norm(dim=1).max()
        assert ((away >= FAR[0] * reach) & (away <= FAR[1] * reach)).all()
    else:
        assert torch.equal(found.x, points.x)
        assert (found.y[found.corrupted] != points.y[found.corrupted]).all()
        assert found.y.max() < CLASSES[name]


def test_far_points_have_random_labels_and_flips_reach_every_other_class():
    points = draw_points("blobs", 3000, generator=seeded())
    far = corrupt(points, "far", 0.5, classes=3, generator=seeded(1))
    counts = torch.bincount(far.y[far.corrupted], minlength=3) / 1500
    assert (counts - 1 / 3).abs().max() < 0.05
    flips = corrupt(points, "flips", 0.5, classes=3, generator=seeded(1))
    steps = (flips.y - points.y)[flips.corrupted] % 3
    assert (torch.bincount(steps, minlength=3)[1:] / 1500 - 0.5).abs().max() < 0.05


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_a_higher_rate_keeps_the_outliers_of_a_lower_one(kind):
    points = draw_points("moons", 200, generator=seeded())
    low, high = (corrupt(points, kind, rate, classes=2, generator=seeded(1)) for rate in (0.05, 0.2))
    assert (high.corrupted | ~low.corrupted).all()
    assert torch.equal(low.x[low.corrupted], high.x[low.corrupted])
    assert torch.equal(low.y[low.corrupted], high.y[low.corrupted])
    assert high.corrupted.sum() > low.corrupted.sum()


def test_interior_points_have_only_neighbours_of_their_own_label():
    points = draw_points("moons", 150, generator=seeded())
    distances = np.linalg.norm(points.x.numpy()[:, None] - points.x.numpy()[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    for place, found in enumerate(interior(points).tolist()):
        near = np.argsort(distances[place])[:15]
        assert found == bool((points.y.numpy()[near] == int(points.y[place])).all())


class Densities(torch.nn.Module):
    """log p(x | class) of equal mixtures of Gaussians as a classifier's logits."""

    def __init__(self, centres, sd):
        super().__init__()
        self.centres, self.sd = torch.tensor(centres, dtype=torch.float64), sd

    def forward(self, x):
        away = (x[:, None, None, :] - self.centres).square().sum(3)
        return torch.logsumexp(-away / (2 * self.sd**2), 2)


@pytest.mark.parametrize("name", ["blobs", "xor"])
def test_the_bayes_gradient_is_the_derivative_of_the_log_densities(name):
    if name == "xor":
        model = Densities([[[1, 1], [-1, -1]], [[1, -1], [-1, 1]]], 0.35)
    else:
        angles = [math.pi / 2 + k * 2 * math.pi / 3 for k in range(3)]
        model = Densities([[[2.5 * math.cos(a), 2.5 * math.sin(a)]] for a in angles], 1.0)
    x = draw_points(name, 40, generator=seeded()).x
    found = bayes_gradients(name, x)
    for label in range(CLASSES[name]):
        _, expected = input_gradient(model, x, lambda logits, label=label: logits[:, label])
        assert torch.allclose(found[:, label], expected)


def test_the_log_odds_of_circles_point_inwards():
    from scipy.special import ive

    x = torch.tensor([[0.3, 0.4], [-1.2, 0.0], [0.0, -0.75]], dtype=torch.float64)
    slopes = bayes_gradients("circles", x)
    inwards = slopes[:, 1] - slopes[:, 0]
    assert torch.allclose(inwards / inwards.norm(dim=1, keepdim=True), -x / x.norm(dim=1, keepdim=True))

    def log_odds(radius):  # of two rings of radius .5 and 1 with Gaussian noise .1, in closed form
        def log_density(ring):
            return np.log(ive(0, radius * ring / 0.01)) - (radius - ring) ** 2 / 0.02

        return log_density(0.5) - log_density(1.0)

    assert (np.diff(log_odds(np.linspace(0.05, 2, 200))) < 0).all()


def test_sets_without_a_closed_form_say_so():
    assert bayes_gradients("moons", torch.zeros(2, 2)) is None
    assert bayes_gradients("spirals", torch.zeros(2, 2)) is None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: draw_points("mons", 10, generator=seeded()), "unknown point set 'mons': did you mean 'moons'"),
        (lambda p: draw_points("moons", 1, generator=seeded()), "at least 2 points; got 1"),
        (lambda p: corrupt(p, "flip", 0.1, classes=2, generator=seeded()), "did you mean 'flips'"),
        (lambda p: corrupt(p, "flips", 1.0, classes=2, generator=seeded()), r"must lie in \[0, 1\); got 1.0"),
        (lambda p: corrupt(p, "flips", -0.1, classes=2, generator=seeded()), r"must lie in \[0, 1\); got -0.1"),
        (lambda p: corrupt(p, "flips", float("nan"), classes=2, generator=seeded()), "got nan"),
        (lambda p: corrupt(p, "flips", 0.1, classes=1, generator=seeded()), "at least 2"),
    ],
)
def test_bad_input_is_one_sentence(call, message):
    with pytest.raises(BadInput, match=message):
        call(draw_points("moons", 30, generator=seeded()))
