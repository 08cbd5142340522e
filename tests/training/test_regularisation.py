"""Weights of regularisers: warm-up, the closed loop, and resuming both."""

from functools import partial

import pytest
import torch
from stripes import stripes
from torch import nn

from pellucid.errors import BadInput
from pellucid.experiments.config import check, plain
from pellucid.objectives import natural
from pellucid.regularisers import misalignment
from pellucid.training import fit as fitting
from pellucid.training.checkpoint import load
from pellucid.training.fit import CHECKPOINT, Stopped, fit
from pellucid.training.regularisation import CONTROL_STEPS, Regularised, Term, regularise
from pellucid.training.settings import RegulariserSettings, TrainingSettings

SETTINGS = TrainingSettings(epochs=3, batch_size=16, optimizer={"name": "adam", "lr": 0.01}, device="cpu")


def small_model():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(1, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(144, 4))


def objective(**options):
    return regularise(partial(natural), (RegulariserSettings(name="misalignment", **options),))


def run(directory, chosen):
    model = small_model()
    state = fit(model, chosen, stripes(200, 0), stripes(60, 1), settings=SETTINGS, seed=3, directory=directory)
    return model, state


def constant(value):
    def regulariser(model, x, y, *, generator):
        return torch.full((len(x),), value)

    return regulariser


def steered(value, weight, **options):
    settings = RegulariserSettings(name="constant", weight=weight, **options)
    loop = Regularised(natural, (Term("constant", constant(value), settings),))
    return loop.steered(small_model(), stripes(20, 0), {}, step=10, seed=0)


def test_the_weight_grows_linearly_and_then_stays():
    term = objective(weight=4.0, warm_up=0.2).terms[0]
    assert [term.weight(step, 100, {}) for step in (0, 10, 20, 100)] == [0, 2, 4, 4]
    assert objective(weight=4.0, warm_up=0).terms[0].weight(0, 100, {}) == 4
    assert term.weight(10, 100, {"misalignment": 10.0}) == 5


def test_a_term_of_every_third_step_has_three_times_its_weight():
    term = objective(weight=4.0, warm_up=0, every=3).terms[0]
    assert [term.weight(step, 100, {}) for step in range(5)] == [12, 0, 0, 12, 0]
    assert term.full_weight({}) == 4


def test_the_closed_loop_moves_the_weight_by_the_excess_over_the_target():
    moved = steered(0.3, 1.0, target=0.1, rate=0.05)["constant"]
    assert moved == pytest.approx(1.0 + CONTROL_STEPS * 0.05 * (0.3 - 0.1), rel=1e-6)
    assert steered(0.0, 0.01, target=0.5)["constant"] == 0
    assert steered(0.9, 1.99, target=0.0, max_weight=2.0)["constant"] == 2
    assert steered(0.9, 1.0) == {}


def measured(model):
    x, y = stripes(60, 1).batch(range(60))
    return misalignment(model, x, y, generator=torch.Generator().manual_seed(0), sigma=1.0).mean().item()


def test_a_term_lowers_misalignment_and_the_closed_loop_raises_its_weight(tmp_path):
    free, without = run(tmp_path / "free", objective(weight=0.0, sigma=1.0))
    strong, _ = run(tmp_path / "strong", objective(weight=20.0, sigma=1.0, warm_up=0.0))
    assert measured(strong) < 0.8 * measured(free)
    assert "misalignment" not in without.history[-1]["parts"]
    _, loop = run(tmp_path / "loop", objective(weight=0.0, target=0.0, rate=5.0, sigma=1.0))
    assert 0 < loop.weights["misalignment"] <= 10
    assert loop.history[-1]["weights"] == loop.weights


def test_a_part_that_is_left_out_of_some_steps_is_averaged_over_the_others(tmp_path):
    terms = (Term("constant", constant(0.5), RegulariserSettings(name="constant", warm_up=0, every=5)),)
    _, state = run(tmp_path, Regularised(natural, terms))
    assert [row["parts"]["constant"] for row in state.history] == [0.5, 0.5, 0.5]


def test_a_steered_run_stopped_in_between_ends_with_the_same_weights(tmp_path, monkeypatch):
    steering = objective(weight=0.5, target=0.02)
    _, whole = run(tmp_path / "whole", steering)
    genuine = fitting.optimise

    def stopping(*arguments, **keywords):
        if keywords["step"] == 17:
            raise Stopped("stopped")
        return genuine(*arguments, **keywords)

    with monkeypatch.context() as patched:
        patched.setattr(fitting, "optimise", stopping)
        with pytest.raises(Stopped):
            run(tmp_path / "cut", steering)
    _, resumed = run(tmp_path / "cut", steering)
    assert resumed.weights == whole.weights
    first, second = (load(tmp_path / name / CHECKPOINT)[0] for name in ("whole", "cut"))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_config_lists_regularisers_with_all_their_defaults():
    raw = {"objective": {"name": "adversarial", "eps": 0.1}, "regularisers": ["misalignment"]}
    found = plain(check(raw))["regularisers"]
    assert found == [
        {
            "name": "misalignment",
            "weight": 1.0,
            "warm_up": 0.2,
            "every": 1,
            "target": None,
            "rate": 0.05,
            "max_weight": 10.0,
        }
        | {"sigma": 0.1, "draws": 1}
    ]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"name": "misalignment", "weight": -1}, "regularisers.0.weight: input should be greater than or equal to 0"),
        ({"name": "misalignment", "weight": float("nan")}, "regularisers.0.weight"),
        ({"name": "misalignment", "warm_up": 2}, "regularisers.0.warm_up: input should be less than or equal to 1"),
        ({"name": "misalignment", "target": float("inf")}, "regularisers.0.target: input should be a finite number"),
        (
            {"name": "misalignment", "target": 0.1, "weight": 20},
            "regularisers.0: value error, a weight of 20.0 .* max_weight 10.0",
        ),
        ({"name": "misalignment", "sigma": -0.1}, "regulariser 'misalignment': sigma"),
        ({"name": "misalignment", "draws": 0}, "regulariser 'misalignment': draws"),
        ({"name": "misalignement"}, "unknown regulariser 'misalignement': did you mean 'misalignment'"),
        (
            {"name": "misalignment", "sigm": 1},
            "unknown option of regulariser 'misalignment' 'sigm': did you mean 'sigma'",
        ),
    ],
)
def test_a_wrong_regulariser_gets_one_sentence(spec, message):
    with pytest.raises(BadInput, match=message):
        check({"objective": "natural", "regularisers": [spec]})


def test_a_weight_is_bounded_by_max_weight_only_where_a_target_steers_it():
    specs = [{"weight": 20}, {"weight": 20, "max_weight": 20, "target": 0.1}]
    for spec in specs:
        found = check({"objective": "natural", "regularisers": [{"name": "misalignment"} | spec]})
        assert found.regularisers[0].weight == 20


def test_the_same_regulariser_twice_and_one_in_the_objectives_place_are_refused():
    with pytest.raises(BadInput, match="listed 2 times"):
        check({"objective": "natural", "regularisers": ["misalignment", "misalignment"]})
    with pytest.raises(BadInput, match="is a regulariser, to be added to an objective"):
        check({"objective": "misalignment"})
