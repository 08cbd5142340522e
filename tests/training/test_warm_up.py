"""eps grows linearly from 0, and the step size with it."""

from functools import partial

import pytest
import small_run
import torch

from pellucid import objectives
from pellucid.errors import BadInput
from pellucid.objectives import adversarial, natural
from pellucid.training.regularisation import Regularised
from pellucid.training.warm_up import eps_at
from pellucid.types import Loss


def keywords(objective, share, progress):
    return eps_at(Regularised(objective), share, progress).objective.keywords


def test_it_grows_linearly_over_its_share_of_the_steps():
    objective = partial(adversarial, eps=0.2, step_size=0.05, steps=3)
    found = [keywords(objective, 0.4, progress) for progress in (0.0, 0.1, 0.2, 0.4, 0.9)]
    assert [one["eps"] for one in found] == pytest.approx([0, 0.05, 0.1, 0.2, 0.2])
    assert [one["step_size"] for one in found[1:]] == pytest.approx([0.0125, 0.025, 0.05, 0.05])
    assert all(one["steps"] == 3 for one in found)


def test_a_step_size_that_follows_from_eps_is_left_to_do_so():
    assert keywords(partial(adversarial, eps=0.2, step_size=None), 0.5, 0.25)["step_size"] is None


def test_without_a_share_the_objective_is_the_very_same():
    objective = Regularised(natural)
    assert eps_at(objective, 0.0, 0.0) is objective
    full = Regularised(partial(adversarial, eps=0.2))
    assert eps_at(full, 0.5, 0.5) is full


@pytest.mark.parametrize("objective", [natural, partial(natural), partial(objectives.gaussian_noise, sigma=0.1)])
def test_an_objective_without_eps_is_refused(objective):
    with pytest.raises(BadInput, match="this objective has none, leave eps_warm_up out"):
        eps_at(Regularised(objective), 0.5, 0.0)


NAMED = {"adversarial", "fast_adversarial", "trades", "l1", "elastic_net", "group_norm"}


@pytest.mark.parametrize("name", sorted(NAMED))
def test_every_objective_works_with_an_eps_of_nothing(name):
    options = {"eps": 0.1} | ({"eps2": 0.1} if name == "elastic_net" else {})
    objective = eps_at(Regularised(partial(getattr(objectives, name), **options)), 0.5, 0.0)
    x, y = small_run.stripes(8, 0).batch(range(8))
    loss = objective(small_run.small_model(), x, y, generator=torch.Generator().manual_seed(0))
    assert loss.total.isfinite()


@pytest.mark.parametrize("name", ["adversarial", "fast_adversarial", "trades"])
def test_a_step_size_is_no_hindrance_to_an_eps_of_nothing(name):
    options = {"eps": 0.1, "step_size": 0.02}
    objective = eps_at(Regularised(partial(getattr(objectives, name), **options)), 0.5, 0.0)
    still = partial(getattr(objectives, name), eps=0.0)
    x, y = small_run.stripes(8, 0).batch(range(8))
    found, expected = (
        one(small_run.small_model().eval(), x, y, generator=torch.Generator().manual_seed(0)).total
        for one in (objective, still)
    )
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", ["adversarial", "trades"])
def test_a_run_with_a_step_size_warms_up(tmp_path, monkeypatch, name):
    attacked = partial(getattr(objectives, name), eps=0.1, step_size=0.02, steps=1)
    monkeypatch.setattr(small_run, "OBJECTIVE", attacked)
    _, state = small_run.run(tmp_path, max_steps=3, eps_warm_up=0.5)
    assert state.step == 3


def test_a_run_sees_the_eps_of_its_step(tmp_path, monkeypatch):
    seen = []

    def spy(model, x, y, *, generator, eps):
        seen.append(eps)
        return Loss(natural(model, x, y).total)

    monkeypatch.setattr(small_run, "OBJECTIVE", partial(spy, eps=1.0))
    small_run.run(tmp_path, max_steps=10, eps_warm_up=0.5)
    assert seen == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1, 1, 1, 1, 1])
