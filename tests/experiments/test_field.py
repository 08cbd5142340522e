import dataclasses
import json
import math
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy, softplus

from pellucid.data.points import Points
from pellucid.errors import BadInput, RunFailed
from pellucid.experiments.field import methods, scores
from pellucid.experiments.field.config import FieldConfig, check_field, read_field_config
from pellucid.experiments.field.networks import Networks, field, initial_networks, logits, loss_gradient
from pellucid.experiments.field.problems import make_problem, stacked
from pellucid.experiments.field.study import Block, blocks, methods_at, run_study
from pellucid.experiments.field.training import fit
from pellucid.gradients import cross_entropy_with, input_gradient

DEFAULT = Path(__file__).parents[2] / "configs" / "field.yaml"
TINY = {
    "sets": ["moons", "blobs"],
    "corruptions": ["flips"],
    "rates": [0.1],
    "seeds": 2,
    "train_points": 60,
    "test_points": 80,
    "training": {"steps": 15},
    "network": {"width": 8},
}


def networks_of(classes=2, seeds=(0, 1, 2), activation="tanh", width=8):
    found = initial_networks(seeds, classes=classes, width=width, activation=activation)
    return Networks([weight.detach().double().requires_grad_() for weight in found.weights], activation)


def points_of(count=7, nets=3, classes=2):
    draws = torch.Generator().manual_seed(5)
    x = torch.randn(nets, count, 2, generator=draws, dtype=torch.float64)
    return x, torch.randint(classes, (nets, count), generator=draws)


def generators(count=3, seed=0):
    return [torch.Generator().manual_seed(seed + place) for place in range(count)]


def by_hand(networks, place):
    """One of the networks, written out: [N, 2] → [N, K]."""
    w1, b1, w2, b2, w3, b3 = (weight[place] for weight in networks.weights)
    function = {"tanh": torch.tanh, "softplus": lambda a: softplus(a, beta=5), "relu": torch.relu}[networks.activation]
    return lambda x: function(function(x @ w1 + b1) @ w2 + b2) @ w3 + b3


# networks


@pytest.mark.parametrize("activation", ["tanh", "softplus", "relu"])
@pytest.mark.parametrize("classes", [2, 3, 5])
def test_the_closed_form_is_the_input_gradient(activation, classes):
    networks = networks_of(classes, activation=activation)
    x, y = points_of(classes=classes)
    z, g = field(networks, x)
    z_loss, g_loss = loss_gradient(networks, x, y)
    for place in range(3):
        model = by_hand(networks, place)
        predicted = model(x[place]).argmax(1)

        def score(out, predicted=predicted):
            if classes == 2:
                return out[:, 1] - out[:, 0]
            return out.gather(1, predicted[:, None]).squeeze(1) - out.mean(1)

        expected_z, expected = input_gradient(model, x[place], score)
        assert torch.allclose(z[place], expected_z, atol=1e-12)
        assert torch.allclose(g[place], expected, atol=1e-12)
        _, expected = input_gradient(model, x[place], cross_entropy_with(y[place]))
        assert torch.allclose(g_loss[place], expected, atol=1e-12)
    assert torch.equal(z, z_loss)


def test_the_closed_form_is_differentiated_as_double_backward_is():
    networks = networks_of(3)
    x, _ = points_of(classes=3)

    def model(flat):
        return logits(networks, flat.view_as(x)).flatten(0, 1)

    target = logits(networks, x).argmax(2).flatten()
    _, again = input_gradient(
        model, x.flatten(0, 1), lambda z: z.gather(1, target[:, None]).squeeze(1) - z.mean(1), create_graph=True
    )
    (again**3).sum().backward()
    expected = [weight.grad.clone() for weight in networks.weights[:5]]
    for weight in networks.weights:
        weight.grad = None
    (field(networks, x)[1] ** 3).sum().backward()
    for weight, gradient in zip(networks.weights, expected, strict=False):
        assert torch.allclose(weight.grad, gradient, atol=1e-12)


def test_a_given_class_is_used_for_more_than_two_classes():
    networks = networks_of(3)
    x, y = points_of(classes=3)
    _, g = field(networks, x, y)
    _, expected = input_gradient(
        by_hand(networks, 1), x[1], lambda z: z.gather(1, y[1][:, None]).squeeze(1) - z.mean(1)
    )
    assert torch.allclose(g[1], expected, atol=1e-12)


def test_each_network_depends_on_its_own_seed_only():
    together, alone = initial_networks([4, 7, 9], classes=2, width=5), initial_networks([7], classes=2, width=5)
    for many, one in zip(together.weights, alone.weights, strict=True):
        assert torch.equal(many[1:2], one)
        assert not torch.equal(many[0:1], one)
    assert together.weights[0].abs().max() <= 1 / math.sqrt(2)
    assert 0.3 < together.weights[2].abs().max() <= 1 / math.sqrt(5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seeds": [], "classes": 2}, "no seeds"),
        ({"seeds": [0], "classes": 1}, "at least 2 classes; got 1"),
        ({"seeds": [0], "classes": 2, "activation": "tahn"}, "unknown activation 'tahn': did you mean 'tanh'"),
    ],
)
def test_networks_that_make_no_sense(options, message):
    with pytest.raises(BadInput, match=message):
        initial_networks(options.pop("seeds"), **options)


# methods


def losses(name, networks, x, y, progress=1.0, **options):
    return getattr(methods, name)(networks, x, y, generators=generators(len(x)), progress=progress, **options)


def entropies(networks, x, y):
    return torch.stack([cross_entropy(by_hand(networks, place)(x[place]), y[place]) for place in range(len(x))])


def test_cross_entropy_and_its_remedies_are_their_formulas():
    networks, (x, y) = networks_of(3), points_of(classes=3)
    plain = entropies(networks, x, y)
    assert torch.allclose(losses("cross_entropy", networks, x, y), plain)
    squares = sum(networks.weights[place].square().sum((1, 2)) for place in (0, 2, 4))
    assert torch.allclose(losses("weight_decay", networks, x, y, weight=0.3), plain + 0.15 * squares)
    noise = torch.stack([torch.randn(7, 2, generator=draws) for draws in generators()]).double()
    assert torch.allclose(losses("gaussian_noise", networks, x, y, sigma=0.2), entropies(networks, x + 0.2 * noise, y))
    slopes = torch.stack([input_gradient(by_hand(networks, p), x[p], cross_entropy_with(y[p]))[1] for p in range(3)])
    expected = plain + 0.5 * slopes.square().sum(2).mean(1)
    assert torch.allclose(losses("gradient_penalty", networks, x, y, weight=0.5), expected)


@pytest.mark.parametrize("classes", [2, 3])
def test_misalignment_is_half_of_one_minus_the_cosine_at_noisy_points(classes):
    networks, (x, y) = networks_of(classes), points_of(classes=classes)
    networks.weights[4].data *= 100  # so that τ is not felt
    noise = torch.stack([torch.randn(7, 2, generator=draws) for draws in generators()]).double()
    target = logits(networks, x).argmax(2)
    here, there = field(networks, x, target)[1], field(networks, x + 0.4 * noise, target)[1]
    angle = (1 - torch.cosine_similarity(here, there, dim=2)) / 2
    found = losses("misalignment", networks, x, y, sigma=0.4, weight=2.0)
    assert torch.allclose(found, entropies(networks, x, y) + 2 * angle.mean(1), atol=1e-6)
    relative = (here - there).square().sum(2) / (here.square().sum(2) + there.square().sum(2)) / 2
    found = losses("relative_misalignment", networks, x, y, sigma=0.4, weight=2.0)
    assert torch.allclose(found, entropies(networks, x, y) + 2 * relative.mean(1), atol=1e-6)


@pytest.mark.parametrize("name", ["misalignment", "relative_misalignment", "neighbour_misalignment"])
def test_the_weight_grows_linearly_during_the_warm_up(name):
    networks, (x, y) = networks_of(), points_of()
    plain = entropies(networks, x, y)
    full = losses(name, networks, x, y, warm_up=0.2) - plain
    assert (full > 1e-6).all()
    assert torch.allclose(losses(name, networks, x, y, progress=0.0, warm_up=0.2), plain)
    assert torch.allclose(losses(name, networks, x, y, progress=0.1, warm_up=0.2) - plain, full / 2)
    assert torch.allclose(losses(name, networks, x, y, progress=0.2, warm_up=0.2) - plain, full)
    assert torch.allclose(losses(name, networks, x, y, progress=0.0, warm_up=0.0) - plain, full)


def test_the_attack_finds_nearly_the_worst_corner_of_its_ball():
    networks, (x, y) = networks_of(), points_of(40)
    attacked = losses("adversarial", networks, x, y, eps=0.1)
    corners = torch.tensor([[-0.1, -0.1], [-0.1, 0.1], [0.1, -0.1], [0.1, 0.1]], dtype=torch.float64)
    for place in range(3):
        model = by_hand(networks, place)
        values = [cross_entropy(model(x[place] + move), y[place], reduction="none") for move in corners]
        worst = torch.stack(values).amax(0).mean()  # the networks are nearly linear at this scale
        assert worst - 1e-3 < attacked[place] <= worst + 1e-4


@pytest.mark.parametrize("name", methods.__all__)
def test_a_network_trains_alike_beside_others(name):
    x, y = points_of(12)
    x = x.float()

    def trained(which):
        networks = initial_networks(which, classes=2, width=8)
        draws = [generators()[place] for place in which]
        method = partial(getattr(methods, name))
        fit(networks, method, x[which], y[which], generators=draws, steps=5, lr=0.01)
        return networks

    together, alone = trained([0, 1, 2]), trained([1])
    for many, one in zip(together.weights, alone.weights, strict=True):
        assert torch.allclose(many[1], one[0], atol=1e-5)


def test_training_lowers_the_loss_and_a_loss_that_explodes_is_named():
    x, y = points_of(30)
    networks = initial_networks([0, 1, 2], classes=2, width=8)
    before = losses("cross_entropy", networks, x.float(), y)
    fit(networks, methods.cross_entropy, x.float(), y, generators=generators(), steps=60, lr=0.02)
    assert (losses("cross_entropy", networks, x.float(), y) < before - 0.1).all()
    with pytest.raises(RunFailed, match="not finite after 5 steps"):
        fit(networks, methods.cross_entropy, x.float() * torch.inf, y, generators=generators(), steps=5, lr=0.01)


# scores


@pytest.fixture(scope="module")
def problem():
    return make_problem("blobs", [0, 1], train_points=60, test_points=90)


def constant_field(direction, classes=3, nets=2):
    """Networks whose logits are linear in x: ReLU units that are all on, and z₀ = ⟨direction, x⟩, the others 0."""
    w1, w3 = torch.zeros(nets, 2, 4), torch.zeros(nets, 4, classes)
    w1[:, 0, 0] = w1[:, 1, 1] = 1.0
    w3[:, :2, 0] = torch.as_tensor(direction)
    biases = [torch.full((nets, 1, 4), 1e3), torch.zeros(nets, 1, 4), torch.zeros(nets, 1, classes)]
    biases[2][:, :, 0] = -1e3 * float(torch.as_tensor(direction).sum()) + 50  # class 0 everywhere
    return Networks([w1, biases[0], torch.eye(4).expand(nets, 4, 4), biases[1], w3, biases[2]], "relu")


def test_a_field_of_one_direction_is_smooth_stable_and_collapsed(problem):
    found = scores.score(constant_field([0.6, -0.8]), problem, problem.train)
    one, zero = torch.ones(2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    for name, value in {
        "roughness": zero,
        "total_variation": zero,
        "cosine": one,
        "worst_cosine": one,
        "spearman": one,
        "kept_prediction": one,
        "misalignment": zero,
        "dispersion": zero,
        "directionless": zero,
    }.items():
        assert torch.allclose(found[name], value, atol=1e-5), name
    share = (problem.y == 0).double().mean(1)
    assert torch.allclose(found["accuracy"], share)
    assert torch.allclose(found["gap"], found["train_accuracy"] - share)
    assert found["memorisation"].isnan().all()


def test_the_bayes_cosine_is_that_of_the_predicted_class(problem):
    networks = constant_field([0.0, 1.0])
    found = scores.score(networks, problem, problem.train)
    slopes = problem.bayes.numpy()
    bayes = slopes[:, :, 0] - slopes.mean(2)
    expected = (bayes[..., 1] / np.linalg.norm(bayes, axis=2)).mean(1)
    assert found["bayes_cosine"].numpy() == pytest.approx(expected, abs=1e-6)
    assert expected.min() > 0.95  # the first blob stands above the others


def test_roughness_and_variation_of_known_directions(problem, monkeypatch):
    def turning(_networks, x, target=None):  # the direction of g turns by 2 rad a unit of the first axis
        angle = 2 * x[..., 0].double()
        return torch.zeros(*x.shape[:2], 3), torch.stack([angle.cos(), angle.sin()], 2)

    monkeypatch.setattr(scores, "field", turning)
    found = scores.smoothness(None, problem)
    assert torch.allclose(found["roughness"], torch.tensor((1 - math.cos(0.1)) / 2).double(), atol=1e-6)
    assert torch.allclose(found["total_variation"], torch.tensor(2 * math.sin(0.05) / 0.05 / 2).double(), atol=1e-4)
    moved = scores.stability(None, problem)
    expected = (problem.offsets[..., 0].double() * 2).cos()
    assert torch.allclose(moved["cosine"], expected.flatten(1).mean(1), atol=1e-5)
    assert torch.allclose(moved["worst_cosine"], expected.amin(1).mean(1), atol=1e-5)
    angle = (1 - (problem.noise[..., 0].double() * 2).cos()) / 2
    assert torch.allclose(moved["misalignment"], angle.flatten(1).mean(1), atol=1e-5)


def test_only_grid_points_inside_the_hull_of_the_data_count(problem, monkeypatch):
    low = problem.grid[problem.inside[0]].amin(0)
    assert (low >= problem.train[0].x.amin(0) - 1e-6).all()
    assert 0.3 < problem.inside.double().mean() < 0.8

    def rough_outside(_networks, x, target=None):
        outside = x[..., 0] > 5
        return torch.zeros(*x.shape[:2], 3), torch.stack([1.0 - 2.0 * outside, torch.zeros_like(x[..., 0])], 2)

    monkeypatch.setattr(scores, "field", rough_outside)
    assert torch.equal(scores.smoothness(None, problem)["roughness"], torch.zeros(2, dtype=torch.float64))


def test_a_vanishing_gradient_has_no_direction_and_is_counted(problem):
    found = scores.score(constant_field([0.0, 0.0]), problem, problem.train)
    assert found["directionless"].tolist() == found["directionless_grid"].tolist() == [1.0, 1.0]
    for name in ("roughness", "cosine", "worst_cosine", "spearman", "misalignment", "bayes_cosine", "dispersion"):
        assert found[name].isnan().all(), name


def test_moves_that_change_the_prediction_do_not_count(problem, monkeypatch):
    def field_of(_networks, x, target=None):
        changed = (x[..., 0] != problem.x[:, :1, 0]) if x.shape[1] > 90 else torch.zeros(x.shape[:2], dtype=torch.bool)
        z = torch.stack([torch.zeros_like(x[..., 0]), changed.float(), torch.full_like(x[..., 0], -1.0)], 2)
        return z, torch.ones_like(x)

    monkeypatch.setattr(scores, "field", field_of)
    found = scores.stability(None, problem)
    assert found["kept_prediction"].tolist() == [0.0, 0.0]
    assert found["cosine"].isnan().all()
    assert found["worst_cosine"].isnan().all()


def test_memorisation_is_the_share_of_corrupted_points_predicted_as_labelled(problem):
    def all_zero(points):
        corrupted = torch.zeros(60, dtype=torch.bool)
        corrupted[:10] = True
        labels = points.y.clone()
        labels[:10] = torch.tensor([0] * 3 + [1] * 7)
        return Points(points.x, labels, corrupted)

    found = scores.score(constant_field([0.6, -0.8]), problem, [all_zero(points) for points in problem.train])
    assert found["memorisation"].tolist() == pytest.approx([0.3, 0.3])


def test_outlier_dependence_by_hand(problem):
    train = []
    for place, points in enumerate(problem.train):
        x = points.x.clone()
        x[0] = problem.x[place, 0].double()
        corrupted = torch.zeros(60, dtype=torch.bool)
        corrupted[0] = True
        train.append(Points(x, points.y, corrupted))
    one = torch.tensor([1.0, 0.0]).expand(2, 90, 2)
    other = one.clone()
    other[:, 0] = torch.tensor([-3.0, 0.0])
    near = torch.cdist(problem.x.double(), torch.stack([points.x[:1] for points in train])).squeeze(2) <= 0.3
    found = scores.outlier_dependence(other, one, problem, train)
    assert found["dependence"].tolist() == pytest.approx([1 / 90] * 2)
    assert torch.allclose(found["dependence_near"], 1 / near.double().sum(1))
    assert found["dependence_elsewhere"].tolist() == [0.0, 0.0]
    assert scores.outlier_dependence(one, one, problem, problem.train)["dependence_near"].isnan().all()


def test_the_corrupted_points_of_a_problem_keep_their_frame():
    problem = make_problem("moons", [0, 1], train_points=100, test_points=50)
    found = problem.corrupted("flips", 0.1)
    assert all(torch.equal(a.x, b.x) for a, b in zip(found, problem.train, strict=True))
    assert [int(points.corrupted.sum()) for points in found] == [10, 10]
    assert problem.corrupted("clean", 0.0) == problem.train
    alone = make_problem("moons", [1], train_points=100, test_points=50)
    assert torch.equal(alone.x[0], problem.x[1])
    assert torch.equal(stacked([p.x for p in alone.train])[0], problem.train[1].x)


# config


def test_the_shipped_config_covers_what_it_promises():
    config = read_field_config(DEFAULT)
    assert len(config.sets) == 5
    assert config.corruptions == ("flips", "interior", "far")
    assert config.rates == (0.05, 0.1, 0.2)
    assert config.seeds == 10
    assert len(blocks(config)) == 50
    assert [block.kind for block in blocks(config)[:5]] == ["clean"] * 5
    everywhere = ["cross_entropy", "misalignment", "gaussian_noise"]
    assert methods_at(config, Block("moons", "flips", 0.2)) == everywhere
    assert methods_at(config, Block("moons", "flips", 0.1)) == [*everywhere, "weight_decay"]
    clean = methods_at(config, Block("moons", "clean", 0.0))
    assert clean == [*everywhere, "weight_decay", "gradient_penalty", "adversarial"]
    options = {name: one.options for name, one in config.methods.items()}
    assert options["misalignment"] == {"weight": 1.0, "sigma": 0.1, "warm_up": 0.2}
    assert options["gaussian_noise"]["sigma"] == options["misalignment"]["sigma"]


def test_a_config_resolves_to_itself():
    config = check_field(TINY)
    assert check_field(json.loads(json.dumps(config.model_dump(mode="json")))) == config
    assert config.methods["misalignment"].options["warm_up"] == 0.2


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("methods.misalignment.weight=-1", "method 'misalignment': weight: .* greater than or equal to 0 .got -1"),
        ("methods.misalignment.sigma=0", "method 'misalignment': sigma: .* greater than 0 .got 0"),
        ("methods.gaussian_noise.sigma=-0.1", "method 'gaussian_noise': sigma"),
        ("methods.misalignment.sgma=1", "unknown option of method 'misalignment' 'sgma': did you mean 'sigma'"),
        ("methods.misalignment.name=misalignmnt", "unknown method 'misalignmnt': did you mean 'misalignment'"),
        ("methods.misalignment.warm_up=1.5", "warm_up: .* less than or equal to 1"),
        ("methods.adversarial.steps=0", "method 'adversarial': steps"),
        ("methods.adversarial.rates=[0.3]", r"methods.adversarial.rates holds 0.3, which is none"),
        ("methods.misalignment.rates=[0.1]", "compared at every corrupted share; leave its rates out"),
        ("sets=[moons, cirles]", "unknown point set 'cirles': did you mean 'circles'"),
        ("sets=[]", "sets: "),
        ("corruptions=[flip]", "unknown corruption 'flip': did you mean 'flips'"),
        ("rates=[1.0]", "rates: corrupted shares must lie between 0 and 1"),
        ("rates=[0]", "rates: corrupted shares must lie between 0 and 1"),
        ("seeds=0", "seeds: .* greater than or equal to 1"),
        ("network.activation=tanhh", "unknown activation 'tanhh': did you mean 'tanh'"),
        ("network.wdth=3", "unknown key in network 'wdth': did you mean 'width'"),
        ("training.epochs=3", "unknown key in training 'epochs'"),
        ("training.lr=2", "training.lr: .* less than or equal to 1"),
        ("methods.misalignment=3", "methods.misalignment"),
        ("training.lr=0", "training.lr: .* greater than 0"),
        ("sed=3", "unknown key in the config 'sed': did you mean 'seeds'"),
        ("tested=misalignmnt", "unknown method 'misalignmnt': did you mean 'misalignment'"),
        ("tested=cross_entropy", "tested and reference must be two different methods"),
        ("methods=3", "methods"),
        ("seeds", "is not an override"),
    ],
)
def test_a_wrong_config_is_one_sentence(override, message):
    with pytest.raises(BadInput, match=message) as caught:
        read_field_config(DEFAULT, [override])
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_config(tmp_path):
    path = tmp_path / "c.yaml"
    with pytest.raises(BadInput, match="cannot read"):
        read_field_config(path)
    path.write_text("- a")
    with pytest.raises(BadInput, match="holds a list"):
        read_field_config(path)
    path.write_text("{")
    with pytest.raises(BadInput, match="not valid YAML"):
        read_field_config(path)
    path.write_text("")
    assert read_field_config(path) == check_field({})


# study


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted((folder / "blocks").glob("*.json"))}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study") / "out"
    assert run_study(check_field(TINY), folder) == 4
    return folder


def test_a_study_holds_every_number_of_every_seed(finished):
    assert list(contents(finished)) == [f"{s}-{c}.json" for s in ("blobs", "moons") for c in ("clean", "flips-0.1")]
    block = json.loads((finished / "blocks" / "blobs-flips-0.1.json").read_text())
    assert list(block["methods"]) == ["cross_entropy", "misalignment", "gaussian_noise"]
    for numbers in block["methods"].values():
        for name in ("accuracy", "memorisation", "roughness", "cosine", "dependence", "bayes_cosine"):
            assert len(numbers[name]) == 2
            assert all(isinstance(value, float) for value in numbers[name]), name
    clean = json.loads((finished / "blocks" / "moons-clean.json").read_text())["methods"]["misalignment"]
    assert "dependence" not in clean
    assert clean["bayes_cosine"] == clean["memorisation"] == [None, None]


def test_a_study_goes_on_where_it_stopped_with_the_same_numbers(finished, tmp_path, capsys):
    before = contents(finished)
    assert run_study(check_field(TINY), finished) == 0
    assert "already computed" in capsys.readouterr().err
    for name in ("blobs-clean", "moons-flips-0.1"):
        (finished / "blocks" / f"{name}.json").unlink()
    assert run_study(check_field(TINY), finished) == 2
    assert contents(finished) == before


def test_fewer_seeds_give_the_same_numbers(finished, tmp_path):
    run_study(check_field(TINY | {"seeds": 1, "sets": ["moons"]}), tmp_path / "one")
    alone = json.loads((tmp_path / "one" / "blocks" / "moons-flips-0.1.json").read_text())["methods"]
    both = json.loads((finished / "blocks" / "moons-flips-0.1.json").read_text())["methods"]
    for name in alone:
        for metric in ("accuracy", "roughness", "cosine"):
            assert alone[name][metric][0] == pytest.approx(both[name][metric][0], abs=2e-3)


def test_a_study_of_another_config_is_not_overwritten(finished, tmp_path):
    with pytest.raises(BadInput, match="another config .training.steps: 15 there, 16 here"):
        run_study(check_field(TINY | {"training": {"steps": 16}}), finished)
    (tmp_path / "letter.txt").write_text("dear reader")
    with pytest.raises(BadInput, match="not empty .letter.txt, ….*choose another --out"):
        run_study(check_field(TINY), tmp_path)
    with pytest.raises(BadInput, match="is a file"):
        run_study(check_field(TINY), tmp_path / "letter.txt")
    (tmp_path / "config.yaml").write_text("model: lenet")
    with pytest.raises(BadInput, match="not of a field study"):
        run_study(check_field(TINY), tmp_path)


def test_a_diverging_training_is_named_and_the_threads_are_given_back(tmp_path, monkeypatch):
    config, threads = check_field(TINY | {"sets": ["moons"]}), torch.get_num_threads()

    def diverging(networks, x, y, *, generators, progress):
        return logits(networks, x).sum((1, 2)) * torch.nan

    monkeypatch.setattr(methods, "misalignment", diverging)
    monkeypatch.setattr("pellucid.experiments.field.study.bound", lambda one: getattr(methods, one.name))
    with pytest.raises(RunFailed, match=r"moons-clean, misalignment: the loss is not finite"):
        run_study(config, tmp_path / "out")
    assert torch.get_num_threads() == threads


def test_a_damaged_twin_is_named(finished, tmp_path):
    (finished / "blocks" / "moons-flips-0.1.json").unlink()
    twin = finished / "blocks" / "moons-clean.npz"
    content = twin.read_bytes()
    twin.write_bytes(content[:100])
    with pytest.raises(BadInput, match=r"moons-clean.npz .*delete it and the .json beside it"):
        run_study(check_field(TINY), finished)
    twin.write_bytes(content)
    assert run_study(check_field(TINY), finished) == 1


def test_the_default_config_object_is_valid():
    assert check_field({}).methods.keys() == FieldConfig().methods.keys()
    assert dataclasses.is_dataclass(Block)
