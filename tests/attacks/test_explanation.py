import copy
import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from pellucid.attacks import BUDGETS, Budget, explanation
from pellucid.attacks.explanation import mass_centre, random, target_region, top_k
from pellucid.attacks.explanation_maps import explained, mass_centre_of, overlap, top_set
from pellucid.data import fashion_mnist_mini
from pellucid.errors import BadInput
from pellucid.models import lenet

ALL = [getattr(explanation, name) for name in explanation.__all__]
every = pytest.mark.parametrize("attack", ALL, ids=explanation.__all__)
informed = pytest.mark.parametrize("attack", [mass_centre, target_region, top_k])
SMALL = Budget(eps=0.1, step_size=0.02, steps=8, k=9)


class ReluNet(nn.Module):
    """Two colour channels, a convolution, ReLU, BatchNorm, ReLU again, linear: the smallest net that needs a twin."""

    def __init__(self, activation):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(2, 5, 3, padding=1), nn.BatchNorm2d(5)
        self.hidden, self.head = nn.Linear(180, 12), nn.Linear(12, 3)
        self.activation = activation

    def forward(self, x):
        maps = self.norm(self.activation(self.conv(x)))
        return self.head(self.activation(self.hidden(maps.flatten(1))))


def relu_net_and_images():
    with torch.random.fork_rng():
        torch.manual_seed(3)
        net = ReluNet(nn.ReLU()).double().eval()
        x = torch.rand(6, 2, 6, 6, dtype=torch.float64)
    return balanced(net, x)


def smooth_net_and_images(tiny_net, tiny_batch):
    """With weights so large that tanh bends and the map depends on the image."""
    with torch.no_grad():
        tiny_net.conv.weight *= 4
    return balanced(tiny_net, tiny_batch[0])


def balanced(net, x):
    """The net with such biases that the images lie near the boundaries of its classes, the images, its predictions."""
    with torch.no_grad():
        net.head.bias -= net(x).mean(0)
        y = net(x).argmax(1)
    assert len(y.unique()) > 1
    return net, x, y


class Counting(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net, self.passes = net, 0

    def forward(self, x):
        self.passes += 1
        return self.net(x)


# An independent reading of definitions §4.7: one image, one number at a time, gradients by torch.func.


def map_of(net, image, label):
    gradient = torch.func.grad(lambda pixels: net(pixels[None])[0, label])(image)
    size = gradient.abs().sum(0)
    return size * size.numel() / size.sum()


def largest(values, k):
    return np.argsort(-values.detach().numpy().ravel(), kind="stable")[:k]


def centre(values):
    grid = torch.meshgrid(*(torch.arange(side, dtype=values.dtype) for side in values.shape), indexing="ij")
    return torch.stack([(values * places).sum() for places in grid]) / values.numel()


def goal_of(name, clean, k):
    if name == "top_k":
        top = largest(clean, k)
        return lambda values: -sum(values.flatten()[i] for i in top)
    if name == "mass_centre":
        return lambda values: ((centre(values) - centre(clean)) ** 2).sum()
    return lambda values: values[:3, :3].sum()  # 3 × 3 of k = 9


def walk_by_hand(name, net, smooth, image, label, start, budget):
    """The iterates, and the one to be returned with its criterion."""
    clean = map_of(net, image, label)
    goal, prediction = goal_of(name, clean, budget.k), net(image[None]).argmax()
    lower, upper = (image - budget.eps).clamp_min(0), (image + budget.eps).clamp_max(1)
    current = torch.minimum(torch.maximum(image + start, lower), upper)
    iterates, best, least = [], image, 1.0
    for step in range(budget.steps + 1):
        iterates.append(current)
        values = map_of(net, current, label)
        share = len(set(largest(values, budget.k)) & set(largest(clean, budget.k))) / budget.k
        if net(current[None]).argmax() == prediction and share < least:
            best, least = current, share
        if step < budget.steps:
            direction = torch.func.grad(lambda pixels: goal(map_of(smooth, pixels, label)))(current).sign()
            current = torch.minimum(torch.maximum(current + budget.step_size * direction, lower), upper)
    return iterates, best, least


@informed
@pytest.mark.parametrize("kind", ["smooth", "relu"])
def test_equals_a_slow_reading_of_the_definition(attack, kind, tiny_net, tiny_batch, monkeypatch):
    if kind == "smooth":
        net, x, y = smooth_net_and_images(tiny_net, tiny_batch)
        smooth = net
    else:
        net, x, y = relu_net_and_images()
        smooth = copy.deepcopy(net)
        smooth.activation = nn.Softplus(1)
    x[0, :, :2], x[1, :, 3:] = 0, 1  # at the ends of the pixel range
    y = net(x).argmax(1)
    starts = 0.2 * torch.rand(x.shape, dtype=x.dtype, generator=torch.Generator().manual_seed(5)) - 0.1
    monkeypatch.setattr(explanation, "sample_per_image", lambda *_, **__: starts)
    seen = []

    def watched(clean, saliency):
        seen.append(saliency)
        return overlap(clean, saliency, SMALL.k)

    found = attack(net, x, y, budget=SMALL, ids=range(len(x)), criterion=watched)
    plain = attack(net, x, y, budget=SMALL, ids=range(len(x)))
    assert torch.equal(plain.images, found.images)
    assert len(seen) == SMALL.steps + 1
    starts = starts if attack is mass_centre else torch.zeros_like(x)
    moved = 0
    for i in range(len(x)):
        iterates, best, least = walk_by_hand(attack.__name__, net, smooth, x[i], y[i], starts[i], SMALL)
        for iterate, maps in zip(iterates, seen, strict=True):
            torch.testing.assert_close(maps[i, 0], map_of(net, iterate, y[i]), rtol=1e-7, atol=1e-9)
        torch.testing.assert_close(found.images[i], best, rtol=0, atol=1e-12)
        assert found.criterion[i].item() == pytest.approx(least, abs=1e-12)
        moved += least < 1
    assert moved >= len(x) // 2


def test_random_walks_along_signs():
    net, x, y = relu_net_and_images()
    looked_at = []

    class Watched(nn.Module):
        def forward(self, images):
            looked_at.append(images.detach())
            return net(images)

    random(Watched(), x, y, budget=SMALL, ids=range(6))
    clean, first, *_ = looked_at
    assert torch.equal(clean, x)
    inside = (x > 0.03) & (x < 0.97)
    steps = (first - x)[inside]
    torch.testing.assert_close(steps.abs(), torch.full_like(steps, 0.02))
    assert abs(steps.sign().mean()) < 0.15
    assert len(looked_at) == 1 + SMALL.steps
    second = (looked_at[2] - first)[inside]
    assert 0.3 < (second.sign() == steps.sign()).double().mean() < 0.7  # new signs in every step


@every
@pytest.mark.parametrize("eps", [0.03, 0.6])
@pytest.mark.parametrize("kind", ["smooth", "relu"])
def test_stays_in_the_ball_and_never_changes_the_prediction(attack, eps, kind, tiny_net, tiny_batch):
    net, x, y = smooth_net_and_images(tiny_net, tiny_batch) if kind == "smooth" else relu_net_and_images()
    flips = []

    class Watched(nn.Module):
        def forward(self, images):
            logits = net(images)
            flips.append((logits.argmax(1) != y).any())
            return logits

    budget = Budget(eps=eps, step_size=eps / 3, steps=8, k=9)
    found = attack(Watched(), x, y, budget=budget, ids=range(len(x)))
    assert torch.equal(net(found.images).argmax(1), y)
    assert found.images.min() >= 0
    assert found.images.max() <= 1
    assert ((found.images - x).abs() <= eps + 1e-12).all()
    expected = overlap(explained(net, x, y).saliency, explained(net, found.images, y).saliency, 9)
    torch.testing.assert_close(found.criterion, expected)
    assert found.criterion.dtype == torch.float64
    unmoved = found.criterion == 1
    assert torch.equal(found.images[unmoved], x[unmoved])
    assert (found.criterion < 1).any()
    if eps > 0.5:
        assert any(flips)  # there was something to hold back


@every
def test_the_prediction_that_is_kept_is_that_of_the_clean_image(attack):
    net, x, y = relu_net_and_images()
    other = (y + 1) % 3  # the map of another class is attacked: the label is not what has to stay
    found = attack(net, x, other, budget=SMALL, ids=range(6))
    assert torch.equal(net(found.images).argmax(1), y)
    assert (found.criterion < 1).any()


@every
@pytest.mark.parametrize("kind", ["smooth", "relu"])
def test_neither_batch_size_nor_batch_mates_matter(attack, kind, tiny_net, tiny_batch):
    net, x, y = smooth_net_and_images(tiny_net, tiny_batch) if kind == "smooth" else relu_net_and_images()
    budget = dataclasses.replace(SMALL, restarts=2)
    whole = attack(net, x, y, budget=budget, ids=range(50, 50 + len(x)), seed=4)
    for rows in ([2], [5, 1, 0]):
        part = attack(net, x[rows], y[rows], budget=budget, ids=[50 + row for row in rows], seed=4)
        torch.testing.assert_close(part.images, whole.images[rows], rtol=0, atol=1e-12)
        torch.testing.assert_close(part.criterion, whole.criterion[rows])


@every
def test_more_restarts_and_more_steps_never_make_it_weaker(attack):
    net, x, y = relu_net_and_images()
    base = attack(net, x, y, budget=SMALL, ids=range(6)).criterion
    for stronger in ({"restarts": 3}, {"steps": 16}):
        found = attack(net, x, y, budget=dataclasses.replace(SMALL, **stronger), ids=range(6)).criterion
        assert (found <= base).all()
    assert (attack(net, x, y, budget=dataclasses.replace(SMALL, restarts=4), ids=range(6)).criterion < base).any()


@pytest.mark.parametrize("attack", [random, mass_centre])
def test_the_draws_depend_on_seed_and_id(attack):
    net, x, y = relu_net_and_images()
    base = attack(net, x, y, budget=SMALL, ids=range(6), seed=0).images
    assert torch.equal(attack(net, x, y, budget=SMALL, ids=torch.arange(6), seed=0).images, base)
    assert not torch.equal(attack(net, x, y, budget=SMALL, ids=range(6), seed=1).images, base)
    assert not torch.equal(attack(net, x, y, budget=SMALL, ids=range(6, 12), seed=0).images, base)


@pytest.mark.parametrize("attack", [top_k, target_region])
def test_the_first_walk_starts_at_the_image(attack):
    net, x, y = relu_net_and_images()
    base = attack(net, x, y, budget=SMALL, ids=range(6), seed=0).images
    assert torch.equal(attack(net, x, y, budget=SMALL, ids=range(6, 12), seed=1).images, base)


def test_a_mass_centre_walk_from_the_image_itself_never_starts(tiny_net, tiny_batch, monkeypatch):
    net, x, y = smooth_net_and_images(tiny_net, tiny_batch)
    assert (mass_centre(net, x, y, budget=SMALL, ids=range(8)).criterion < 1).any()
    monkeypatch.setattr(explanation, "sample_per_image", lambda region, x, *_, **__: torch.zeros_like(x))
    assert (mass_centre(net, x, y, budget=SMALL, ids=range(8)).criterion == 1).all()


def test_target_region_fills_the_region_it_is_given():
    net, x, y = relu_net_and_images()
    region = torch.zeros(6, 6, dtype=torch.bool)
    region[4:, 1:5] = True
    last = iter(range(0, -100, -1))

    def latest(clean, saliency):  # keeps the last iterate
        return torch.full((6,), float(next(last)))

    found = target_region(net, x, y, budget=SMALL, ids=range(6), region=region, criterion=latest)
    share = [explained(net, images, y).saliency[..., region].sum((1, 2)) for images in (x, found.images)]
    assert (share[1] > share[0]).double().mean() > 0.6
    assert share[1].mean() > 1.05 * share[0].mean()


@every
def test_the_criterion_is_the_callers(attack):
    net, x, y = relu_net_and_images()

    def distance(clean, saliency):
        return -(clean - saliency).abs().flatten(1).sum(1)

    found = attack(net, x, y, budget=SMALL, ids=range(6), criterion=distance)
    clean, saliency = (explained(net, images, y).saliency for images in (x, found.images))
    torch.testing.assert_close(found.criterion, distance(clean, saliency))
    by_default = attack(net, x, y, budget=SMALL, ids=range(6))
    assert not torch.equal(by_default.images, found.images)


@every
def test_nothing_is_found_where_the_map_cannot_change(attack):
    class Linear(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(36, 3).double()

        def forward(self, x):
            return self.head(x.flatten(1))

    class Deaf(nn.Module):
        def forward(self, x):
            return 0 * x.flatten(1)[:, :3] + torch.tensor([1.0, 0, 0])

    x = torch.rand(4, 1, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for net in (Linear(), Deaf()):
        found = attack(net, x, net(x).argmax(1), budget=SMALL, ids=range(4))
        assert torch.equal(found.images, x)
        assert found.criterion.tolist() == [1] * 4


@every
def test_the_model_and_the_images_are_left_alone(attack):
    net, x, y = relu_net_and_images()
    expected = attack(net, x, y, budget=SMALL, ids=range(6)).images
    net.train()
    net.norm.eval()
    before, state = x.clone(), {name: value.clone() for name, value in net.state_dict().items()}
    found = attack(net, x.requires_grad_(), y, budget=SMALL, ids=range(6))
    assert torch.equal(found.images, expected)  # in eval mode whatever the mode was
    assert not found.images.requires_grad
    assert net.training
    assert not net.norm.training
    assert torch.equal(x, before)
    assert all(torch.equal(net.state_dict()[name], value) for name, value in state.items())
    assert all(parameter.grad is None for parameter in net.parameters())


@informed
def test_a_smooth_model_is_passed_once_a_step(attack, tiny_net, tiny_batch):
    for (net, x, y), passes in (
        (smooth_net_and_images(tiny_net, tiny_batch), 1 + SMALL.steps + 1),
        (relu_net_and_images(), 1 + 2 * SMALL.steps + 1),
    ):
        counting = Counting(net)
        attack(counting, x, y, budget=SMALL, ids=range(len(x)))
        assert counting.passes == passes


@pytest.mark.parametrize("scale", [1e-30, 1e25])
def test_the_size_of_the_logits_does_not_matter(scale):
    net, x, y = relu_net_and_images()
    net, x = net.float(), x.float()

    class Scaled(nn.Module):
        def forward(self, images):
            return scale * net(images)

    for attack in (top_k, mass_centre):
        base, found = (attack(each, x, y, budget=SMALL, ids=range(6)) for each in (net, Scaled()))
        torch.testing.assert_close(found.images, base.images, rtol=0, atol=1e-6)


def test_maps_have_the_mean_one_and_the_shape_of_the_gradient():
    net, x, y = relu_net_and_images()
    logits, saliency = explained(net, x, y)
    torch.testing.assert_close(logits, net(x))
    torch.testing.assert_close(saliency.mean((1, 2, 3)), torch.ones(6, dtype=torch.float64))
    for i in range(6):
        torch.testing.assert_close(saliency[i, 0], map_of(net, x[i], y[i]))


def test_the_map_of_a_zero_gradient_is_zero():
    x = torch.rand(2, 1, 3, 3)
    saliency = explained(lambda images: 0 * images.flatten(1), x, torch.tensor([0, 1])).saliency
    assert torch.equal(saliency, torch.zeros(2, 1, 3, 3))


def test_the_set_of_the_largest_breaks_ties_by_place():
    generator = torch.Generator().manual_seed(0)
    for levels in (2, 4, 1000):
        maps = torch.randint(0, levels, (20, 1, 5, 6), generator=generator).float()
        for k in (1, 7, 30):
            chosen = top_set(maps, k)
            for row, values in zip(chosen, maps, strict=True):
                assert set(row.nonzero().squeeze(1).tolist()) == set(largest(values, k))


def test_the_centre_of_mass_of_nothing_is_no_nan():
    maps = torch.zeros(2, 1, 4, 5)
    maps[1, 0, 3, 2] = 2
    assert mass_centre_of(maps).tolist() == [[0, 0], [3, 2]]


def test_the_budgets_are_those_of_the_definitions_and_cannot_be_changed():
    fashion = Budget(eps=0.1, step_size=0.01, steps=100, k=100)
    assert BUDGETS["fashion-mnist"] == BUDGETS["fashion-mnist-mini"] == fashion
    assert BUDGETS["cifar10"] == Budget(eps=8 / 255, step_size=0.5 / 255, steps=100, k=100)
    assert BUDGETS["imagenette"] == Budget(eps=8 / 255, step_size=0.5 / 255, steps=100, k=1000)
    with pytest.raises(TypeError):
        BUDGETS["cifar10"] = fashion
    with pytest.raises(dataclasses.FrozenInstanceError):
        fashion.eps = 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"eps": -1}, "must be ≥ 0; got -1"),
        ({"step_size": 0}, "step_size .* positive and finite; got 0"),
        ({"steps": 0}, "steps of an attack on the explanation must be ≥ 1; got 0"),
        ({"k": 0}, "k of an attack"),
        ({"restarts": 0}, "restarts of an attack"),
    ],
)
def test_a_budget_that_buys_nothing_is_refused(change, message):
    with pytest.raises(BadInput, match=message):
        dataclasses.replace(SMALL, **change)


@every
def test_bad_input_is_named(attack):
    net, x, y = relu_net_and_images()
    with pytest.raises(BadInput, match="needs an id.*; got 5 for 6 images"):
        attack(net, x, y, budget=SMALL, ids=range(5))
    with pytest.raises(BadInput, match="number of pixels of a map; got 37"):
        attack(net, x, y, budget=dataclasses.replace(SMALL, k=37), ids=range(6))
    with pytest.raises(BadInput, match="pixels must lie in"):
        attack(net, 2 * x, y, budget=SMALL, ids=range(6))
    with pytest.raises(BadInput, match="labels must lie in"):
        attack(net, x, y + 3, budget=SMALL, ids=range(6))


@pytest.mark.parametrize("region", [torch.ones(6, 5, dtype=torch.bool), torch.ones(6, 6)])
def test_a_region_of_another_form_is_refused(region):
    net, x, y = relu_net_and_images()
    with pytest.raises(BadInput, match=r"the region must be bool \[6, 6\]"):
        target_region(net, x, y, budget=SMALL, ids=range(6), region=region)


@pytest.fixture(scope="module")
def trained():
    """A LeNet after 200 steps on real images, and 32 test images that it classifies correctly."""
    train, test = fashion_mnist_mini(split="train"), fashion_mnist_mini(split="test")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = lenet(channels=1, classes=10, image_size=28)
        optimiser = torch.optim.Adam(net.parameters(), 2e-3)
        for _ in range(200):
            x, y = train.batch(torch.randint(len(train), (64,)))
            optimiser.zero_grad()
            nn.functional.cross_entropy(net(x), y).backward()
            optimiser.step()
    net.eval()
    x, y = test.batch(range(0, 2000, 40))
    right = (net(x).argmax(1) == y).nonzero().squeeze(1)[:32]
    assert len(right) == 32
    return net, x[right], y[right]


@pytest.fixture(scope="module")
def by_chance(trained):
    net, x, y = trained
    return random(net, x, y, budget=dataclasses.replace(BUDGETS["fashion-mnist"], steps=20), ids=range(32))


@informed
def test_beats_chance_on_a_trained_network_without_a_change_of_prediction(attack, trained, by_chance):
    net, x, y = trained
    budget = dataclasses.replace(BUDGETS["fashion-mnist"], steps=20)
    found = attack(net, x, y, budget=budget, ids=range(32))
    assert torch.equal(net(found.images).argmax(1), y)
    assert found.criterion.mean() < by_chance.criterion.mean() - 0.05
    assert (found.criterion < by_chance.criterion).double().mean() > 0.7


@informed
@pytest.mark.parametrize("activation", [nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.RReLU])
def test_beats_chance_on_networks_with_the_relatives_of_relu(attack, activation):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        x = torch.rand(6, 1, 16, 16)
        first, second = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1, stride=2)
        net = nn.Sequential(first, activation(), second, activation(), nn.Flatten(), nn.Linear(512, 4)).eval()
    budget, y = Budget(eps=0.1, step_size=0.01, steps=15, k=40), net(x).argmax(1)
    found, by_chance = (one(net, x, y, budget=budget, ids=range(6)).criterion for one in (attack, random))
    assert found.mean() < by_chance.mean() - 0.05
