"""The numbers on the page are those of the project's own functions."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from explored import gallery, never, subject

from pellucid import attributions
from pellucid.attacks import Budget, Linf, explanation, pgd, sample_per_image
from pellucid.attacks.explanation_maps import explained
from pellucid.attributions import gradient
from pellucid.errors import BadInput
from pellucid.experiments.suite.explainer import explainer
from pellucid.explore import views
from pellucid.explore.views import ATTACKS, ATTRIBUTIONS, Change, Viewer
from pellucid.explore.worker import GivenUp
from pellucid.metrics.stability import ros_norm, ssim_clean, top_k_intersection
from pellucid.randomness import normal_per_image

SMALL = Budget(eps=0.1, step_size=0.02, steps=6, k=100)


@pytest.fixture(scope="module")
def shown():
    return gallery()


@pytest.fixture
def viewer(shown):
    return Viewer(shown)


def looked_at(viewer, kind, amount, *, seed=0, names=("gradient",), place=3):
    return viewer.changed(subject(place), Change(kind, amount, seed), list(names), never)


def plain_map(net, x, y):
    return gradient(net, x, y).abs().sum(1, keepdim=True)


def by_hand(net, x, image, y):
    """Map, SSIM and ROS of a changed image without the suite."""
    before, after = plain_map(net, x, y), plain_map(net, image, y)
    with torch.no_grad():
        z, moved = net(x), net(image)
    same = moved.argmax(1) == z.argmax(1)
    ros = ros_norm(before, after[:, None], z, moved[:, None], same[:, None]).value
    return after[0, 0].numpy(), float(ssim_clean(before, after)), float(ros), moved[0].double().softmax(0).numpy()


def assert_is(view, net, x, image, y):
    values, ssim, ros, probabilities = by_hand(net, x, image, y)
    np.testing.assert_allclose(view.image, image[0].numpy(), atol=1e-6)
    np.testing.assert_allclose(view.maps[0].values, values, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(view.probabilities, probabilities, atol=1e-6)
    assert view.maps[0].numbers == pytest.approx({"ssim": ssim, "ros": ros}, rel=1e-6, nan_ok=True)
    assert view.explained == int(y)


@pytest.mark.parametrize(("amount", "seed"), [(0.05, 0), (0.2, 7)])
def test_noise_maps_and_numbers_are_those_of_a_direct_call(viewer, shown, amount, seed):
    one = subject()
    noise = normal_per_image([one.number], one.pixels.shape[1:], seed=seed, stream="explore")
    image = (one.pixels + amount * noise).clamp(0, 1)
    for view, model in zip(looked_at(viewer, "noise", amount, seed=seed), shown.models, strict=True):
        assert_is(view, model.network, one.pixels, image, model.network(one.pixels).argmax(1))


def test_the_attack_is_pgd_away_from_the_untouched_prediction(viewer, shown):
    one, eps = subject(), 0.06
    for view, model in zip(looked_at(viewer, "attack", eps, seed=2), shown.models, strict=True):
        x, y = one.pixels, model.network(one.pixels).argmax(1)
        start = sample_per_image(Linf(eps), x, [one.number], seed=2, stream="explore")
        image = pgd(model.network, x, y, Linf(eps), step_size=eps / 4, steps=20, start=start)
        assert_is(view, model.network, x, image, y)
        np.testing.assert_allclose(view.perturbation, (image - x)[0].numpy(), atol=1e-6)
        assert np.abs(view.perturbation).max() == pytest.approx(eps, abs=1e-6)
        assert view.probabilities[view.explained] < model.network(x).softmax(1)[0, y].item()


@pytest.mark.parametrize("kind", ["noise", "attack"])
def test_a_position_has_one_picture_and_a_seed_another(viewer, shown, kind):
    first, again = (looked_at(viewer, kind, 0.1, seed=1)[0], looked_at(Viewer(shown), kind, 0.1, seed=1)[0])
    other = looked_at(viewer, kind, 0.1, seed=2)[0]
    np.testing.assert_array_equal(first.image, again.image)
    assert first.maps[0].numbers == pytest.approx(again.maps[0].numbers, nan_ok=True)
    assert not np.array_equal(first.image, other.image)


@pytest.mark.parametrize("kind", ["noise", "attack"])
def test_nothing_is_changed_at_the_beginning_of_a_slider(viewer, kind):
    for view in looked_at(viewer, kind, 0):
        assert not view.perturbation.any()
        assert view.maps[0].numbers["ssim"] == pytest.approx(1)
        assert math.isnan(view.maps[0].numbers["ros"])
        assert view.predicted == view.explained


@pytest.mark.parametrize("name", ATTRIBUTIONS)
def test_every_attribution_that_is_offered_can_be_shown(viewer, shown, name):
    one, model = subject(), shown.models[0]
    y = model.network(one.pixels).argmax(1)
    found = looked_at(viewer, "noise", 0, names=[name])[0].maps[0]
    expected = explainer(name)(model.network, one.pixels, y, [one.number])
    np.testing.assert_allclose(found.values, expected[0, 0].detach().numpy(), rtol=1e-5, atol=1e-6)


def test_several_attributions_at_once_are_told_apart(viewer, shown):
    one, model, names = subject(), shown.models[0], ["integrated_gradients", "gradient", "edge_detector"]
    y = model.network(one.pixels).argmax(1)
    found = looked_at(viewer, "noise", 0.1, names=names)[0]
    for name, seen in zip(names, found.maps, strict=True):
        explain = explainer(name)
        before, after = (explain(model.network, x, y, [3]) for x in (one.pixels, torch.from_numpy(found.image)[None]))
        assert seen.attribution == name
        np.testing.assert_allclose(seen.values, after[0, 0].detach().numpy(), rtol=1e-3, atol=1e-5)
        assert seen.numbers["ssim"] == pytest.approx(float(ssim_clean(before, after)), abs=1e-5)


def test_new_attributions_are_offered_without_a_change_here():
    assert set(ATTRIBUTIONS) | set(views.TOO_SLOW) == set(attributions.__all__)
    assert set(ATTACKS) == set(explanation.__all__)


def test_the_map_of_the_untouched_image_is_computed_once(viewer, monkeypatch):
    passes = []
    whole = views.Batch._explained_at_once
    monkeypatch.setattr(views.Batch, "_explained_at_once", lambda self, *rest: passes.append(1) or whole(self, *rest))
    looked_at(viewer, "noise", 0.1)
    assert len(passes) == 4  # two models, untouched and changed
    looked_at(viewer, "noise", 0.2)
    assert len(passes) == 6


@pytest.mark.parametrize("kind", ["noise", "walk"])
def test_work_that_nobody_waits_for_ends_at_the_next_model_or_step(viewer, kind):
    calls = []

    def third_time():
        calls.append(1)
        if len(calls) == 3:
            raise GivenUp

    ask = {
        "noise": lambda: viewer.changed(subject(), Change("noise", 0.1), ["gradient"], third_time),
        "walk": lambda: viewer.walked(subject(), "top_k", 0, third_time),
    }
    with pytest.raises(GivenUp):
        ask[kind]()
    assert len(calls) == 3


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_on_the_explanation_is_shown_as_it_goes(viewer, shown, attack, monkeypatch):
    monkeypatch.setattr(views, "budget_for", lambda _: SMALL)
    one = subject()
    walks = viewer.walked(one, attack, 5, never)
    for steps, model in zip(walks, shown.models, strict=True):
        net, x = model.network, one.pixels
        y = net(x).argmax(1)
        np.testing.assert_array_equal(steps[0].image, x[0].numpy())
        assert steps[0].maps[0].numbers["intersection"] == 1
        clean = explained(net, x, y)
        for view in steps[1:]:
            seen = explained(net, torch.from_numpy(view.image)[None], y)
            np.testing.assert_allclose(view.maps[0].values, seen.saliency[0, 0].numpy(), rtol=1e-3, atol=1e-4)
            shared = top_k_intersection(clean.saliency, seen.saliency, k=100)
            assert view.maps[0].numbers["intersection"] == pytest.approx(float(shared), abs=0.011)  # ties of rounding
            assert view.maps[0].numbers["ssim"] == pytest.approx(
                float(ssim_clean(clean.saliency, seen.saliency)), abs=1e-3
            )
            assert np.abs(view.perturbation).max() <= 0.1 + 1e-6
            assert view.predicted == int(seen.logits.argmax())
        found = getattr(explanation, attack)(net, x, y, budget=SMALL, ids=[one.number], seed=5)
        kept = [view for view in steps if view.predicted == view.explained]
        best = min(kept, key=lambda view: view.maps[0].numbers["intersection"])
        assert float(found.criterion) == best.maps[0].numbers["intersection"]
        np.testing.assert_array_equal(found.images[0].numpy(), best.image)


def test_iterates_of_an_attack_that_does_not_exist(shown):
    x = subject().pixels
    with pytest.raises(BadInput, match="unknown attack on the explanation 'topk': did you mean 'top_k'"):
        explanation.iterates(
            "topk", shown.models[0].network, x, torch.zeros(1, dtype=torch.int64), budget=SMALL, ids=[0]
        )


def test_a_walk_that_is_stopped_leaves_the_network_in_its_mode(shown):
    net, x = shown.models[0].network, subject().pixels
    net.train()
    walk = explanation.iterates("top_k", net, x, net(x).argmax(1), budget=SMALL, ids=[0])
    next(walk)
    assert not net.training
    walk.close()
    assert net.training
    net.eval()


def test_the_walk_that_was_seen_last_is_kept(viewer, monkeypatch):
    monkeypatch.setattr(views, "budget_for", lambda _: SMALL)
    first = viewer.walked(subject(), "top_k", 0, never)
    assert viewer.walked(subject(), "top_k", 0, never) is first
    assert viewer.walked(subject(), "top_k", 1, never) is not first


def test_small_images_have_a_small_top_k(viewer, monkeypatch):
    assert viewer.budget(subject()).k == 100
    monkeypatch.setattr(views, "budget_for", lambda _: replace(SMALL, k=1000))
    assert viewer.budget(subject()).k == 392
