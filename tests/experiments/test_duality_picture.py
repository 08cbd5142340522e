"""The duality of a norm at an image: numbers that must agree, and the picture of them."""

import io
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from pellucid import cli
from pellucid.attacks.duality import L1, ElasticNet, GroupNorm, ascend, towards
from pellucid.errors import BadInput
from pellucid.experiments import penalties
from pellucid.experiments.config import check
from pellucid.experiments.duality import contribution, duality, make_penalty
from pellucid.experiments.train import train
from pellucid.report.figures.duality import duality as picture

PENALTIES = [L1(0.05), ElasticNet(0.02, 0.3), ElasticNet(0.05, 0.0), GroupNorm(0.1, 2), GroupNorm(0.1, 4, True)]
every_penalty = pytest.mark.parametrize("penalty", PENALTIES, ids=str)


class Quartic:
    """h*(g) = Σ g⁴/4, δ* = g³: neither a norm nor quadratic."""

    def penalty(self, perturbation):
        return 0.75 * perturbation.abs().pow(4 / 3).flatten(1).sum(1)

    def conjugate(self, gradient):
        return gradient.pow(4).flatten(1).sum(1) / 4

    def maximiser(self, gradient):
        return gradient**3


def draw(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture
def colour_net():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = nn.Conv2d(2, 4, 3), nn.Tanh(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(64, 3)
        return nn.Sequential(*layers).double().train()


@pytest.fixture
def colours():
    draws = torch.Generator().manual_seed(3)
    return torch.rand(4, 2, 6, 6, generator=draws, dtype=torch.float64), torch.tensor([0, 1, 2, 0])


@pytest.mark.parametrize("penalty", [*PENALTIES, Quartic()], ids=lambda one: str(one).partition(" object at")[0])
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_contributions_add_up_to_the_conjugate(penalty, seed):
    gradient = draw(seed, 3, 2, 6, 6)
    gradient[1, :, :2] = 0
    shares = contribution(penalty, gradient)
    torch.testing.assert_close(shares.flatten(1).sum(1), penalty.conjugate(gradient))
    assert (shares >= 0).all()
    assert not shares[1, :, :2].any()


def test_the_contributions_are_those_of_the_formulas():
    gradient = draw(0, 3, 2, 6, 6)
    torch.testing.assert_close(contribution(L1(0.1), gradient), 0.1 * gradient.abs())
    elastic = 0.1 * gradient.abs() + 0.5 * gradient.square()
    torch.testing.assert_close(contribution(ElasticNet(0.1, 0.5), gradient), elastic)
    lengths = GroupNorm(1.0, 2).lengths(gradient).repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(contribution(GroupNorm(0.1, 2), gradient), 0.1 * gradient.square() / lengths)
    torch.testing.assert_close(contribution(Quartic(), gradient), gradient**4 / 4)


@every_penalty
def test_the_numbers_and_maps_of_an_image(colour_net, colours, penalty):
    x, y = colours
    found = duality(colour_net, x, y, penalty)
    assert colour_net.training
    model = colour_net.eval()
    leaf = x.clone().requires_grad_(True)
    losses = nn.functional.cross_entropy(model(leaf), y, reduction="none")
    (g,) = torch.autograd.grad(losses.sum(), leaf)
    perturbed = ascend(model, x, y, towards(penalty))  # what training sees
    after = nn.functional.cross_entropy(model(perturbed), y, reduction="none")
    for i, one in enumerate(found):
        numbers = one.numbers
        assert numbers["attained"] == pytest.approx(numbers["conjugate"], rel=1e-9)
        assert numbers["conjugate"] == pytest.approx(penalty.conjugate(g)[i].item())
        assert numbers["before"] == pytest.approx(losses[i].item())
        assert numbers["actual"] == pytest.approx(after[i].item())
        first_order = losses[i] + (g[i] * (perturbed[i] - x[i])).sum()
        assert numbers["predicted"] == pytest.approx(first_order.item())
        np.testing.assert_allclose(one.perturbed, perturbed[i].numpy(), rtol=1e-6)
        np.testing.assert_allclose(one.maps["gradient"], g[i].numpy(), rtol=1e-5)
        np.testing.assert_allclose(one.maps["perturbation"], penalty.maximiser(g)[i].numpy(), rtol=1e-5)
        assert one.maps["contribution"].sum() == pytest.approx(numbers["conjugate"], rel=1e-5)


def test_the_error_of_the_first_order_falls_with_the_square_of_eps(colour_net, colours):
    x, y = colours[0] / 2 + 0.25, colours[1]  # nothing is clamped
    errors = []
    for eps in (0.02, 0.01):
        found = [one.numbers for one in duality(colour_net, x, y, L1(eps))]
        errors.append([one["actual"] - one["predicted"] for one in found])
        for one in found:
            assert one["predicted"] - one["before"] == pytest.approx(one["conjugate"], rel=1e-9)
    np.testing.assert_allclose(np.divide(*errors), 4.0, rtol=0.15)


def test_an_image_depends_on_no_other(colour_net, colours):
    x, y = colours
    together, alone = duality(colour_net, x, y, L1(0.1))[2], duality(colour_net, x[2:3], y[2:3], L1(0.1))[0]
    assert together.numbers == pytest.approx(alone.numbers)


def test_a_gradient_of_zero_is_drawn(colours):
    class Constant(nn.Module):
        def forward(self, x):
            return 0 * x.flatten(1)[:, :3]

    for penalty in PENALTIES:
        one = duality(Constant(), *colours, penalty)[0]
        assert one.numbers["conjugate"] == one.numbers["attained"] == 0
        assert not one.maps["contribution"].any()
        drawn = picture(one.perturbed[:1], one.perturbed[:1], one.maps, one.numbers, "nothing")
        assert Image.open(io.BytesIO(drawn)).size[0] > 1000


@pytest.mark.parametrize("channels", [1, 3])
def test_the_picture_says_the_numbers(channels, monkeypatch):
    image = np.random.default_rng(0).random((channels, 5, 5), dtype=np.float32)
    maps = {"gradient": image - 0.5, "contribution": image, "perturbation": 0.25 * np.sign(image - 0.5)}
    numbers = dict(
        zip(("conjugate", "attained", "before", "predicted", "actual"), (1.5, 1.25, 0.5, 2.0, 2.5), strict=True)
    )
    seen = []
    module = sys.modules["pellucid.report.figures.duality"]
    genuine = module.new_figure
    monkeypatch.setattr(module, "new_figure", lambda *args, **kw: seen.append(genuine(*args, **kw)) or seen[0])
    picture(image, image, maps, numbers, "title")
    titles = [axes.get_title() for axes in seen[0].axes if axes.get_title()]
    assert titles == [
        "image\nloss 0.500",
        "gradient g of the loss",
        "share of h*(g) = 1.50\n⟨g, δ*⟩ − h(δ*) = 1.25",
        "perturbation δ*\nlargest change 0.250",
        "x + δ*, clamped to [0, 1]\nloss 2.50, first order 2.00",
    ]


class Nothing(L1):
    def maximiser(self, gradient):
        return gradient * float("nan")


def test_penalties_are_made_by_name():
    assert make_penalty("l1", ["eps=0.5"]) == L1(0.5)
    assert make_penalty("elastic-net", ["eps=1e-2", "eps2=3"]) == ElasticNet(0.01, 3.0)
    assert make_penalty("group_norm", ["eps=1", "block=3", "joint_channels=true"]) == GroupNorm(1.0, 3, True)
    assert sorted(penalties.__all__) == penalties.__all__
    assert make_penalty("pellucid.attacks.duality.GroupNorm", ["eps=1", "block=3"]) == GroupNorm(1.0, 3)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("l2", [], "unknown penalty 'l2': did you mean 'l1'"),
        ("l1", [], "eps: field required"),
        ("l1", ["eps=-1"], "greater than or equal to 0"),
        ("l1", ["eps=.nan"], "finite number"),
        ("l1", ["eps=.inf"], "finite number"),
        ("l1", ["ep=1"], "did you mean 'eps'"),
        ("l1", ["eps"], "write key=value"),
        ("group_norm", ["eps=1", "block=0"], "block"),
        ("no.such.Norm", [], "cannot import the penalty 'no.such.Norm'"),
        ("pathlib.Path", [], "needs the methods penalty, conjugate, maximiser; it has no penalty"),
    ],
)
def test_bad_penalties_are_named(name, options, message):
    with pytest.raises(BadInput, match=message):
        make_penalty(name, options)


def test_a_maximiser_of_another_shape_is_named(colour_net, colours):
    class Odd(Quartic):
        def maximiser(self, gradient):
            return gradient.sum(1)

    with pytest.raises(BadInput, match=r"it returned \(4, 6, 6\) for a gradient of shape \(4, 2, 6, 6\)"):
        duality(colour_net, *colours, Odd())


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_a_maximiser_without_numbers_is_named(colour_net, colours, wrong):
    class Odd(Quartic):
        def maximiser(self, gradient):
            return torch.where(gradient > 0, wrong, 0.0)

    with pytest.raises(BadInput, match=r"maximiser must return finite numbers; \d+ of 288 it returned are not"):
        duality(colour_net, *colours, Odd())


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("explained")
    small = {"max_steps": 2, "epochs": 1, "device": "cpu"}
    train(check({"training": small, "data": {"validation": 100}}), folder / "run")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (28, 28), dtype=np.uint8)).save(folder / "a.png")
    return folder


def explain(monkeypatch, trained, out, *arguments):
    command = ["pellucid", "explain", trained / "run", trained / "a.png", "--out", out, "--attribution", "gradient"]
    monkeypatch.setattr(sys, "argv", [str(word) for word in [*command, *arguments]])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    return stopped.value.code


def test_explain_draws_the_duality_beside_the_maps(monkeypatch, capsys, trained, tmp_path):
    code = explain(monkeypatch, trained, tmp_path, "--duality", "group-norm", "--option", "eps=0.3")
    assert code == 0, capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"a.png", "a-duality.png"}
    assert "group-norm eps=0.3" in capsys.readouterr().out
    assert Image.open(tmp_path / "a-duality.png").size[0] > 1000
    assert explain(monkeypatch, trained, tmp_path / "plain") == 0
    assert {path.name for path in (tmp_path / "plain").iterdir()} == {"a.png"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--duality", "grup_norm"], "did you mean 'group-norm'"),
        (["--duality", "l1", "--option", "eps=-0.1"], "greater than or equal to 0"),
        (["--duality", "group_norm", "--option", "eps=1", "--option", "block=40"], "block 40 does not fit"),
        (["--option", "eps=1"], "name one with --duality"),
        (["--duality", "pellucid.objectives.l1", "--option", "eps=0.1"], "is made from its options alone"),
        (["--duality", f"{__name__}.Nothing", "--option", "eps=0.1"], "maximiser must return finite numbers"),
    ],
)
def test_bad_norms_exit_2_with_one_line_and_draw_nothing(monkeypatch, capsys, trained, tmp_path, arguments, message):
    assert explain(monkeypatch, trained, tmp_path / "out", *arguments) == 2
    said = capsys.readouterr().err
    assert message in said
    assert len(said.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()
