"""What every attribution promises, whatever it computes: iterates over `__all__`, so a new one cannot escape."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from smooth_classifier import smooth_classifier

from pellucid import attributions
from pellucid.attributions.reduction import REDUCTIONS, reduction_of
from pellucid.errors import BadInput
from pellucid.randomness import normal_per_image


def options_of(name, ids):
    """Options with which an attribution is tried; the noise of an image depends on its id, not on its batch."""
    return {
        "captum_attribution": {"method": "IntegratedGradients", "n_steps": 4},
        "edge_detector": {},
        "grad_cam": {},
        "gradient": {},
        "input_x_gradient": {},
        "integrated_gradients": {"steps": 5, "chunk": 4},
        "kernel_shap": {"block": 4, "samples": 12},
        "lime": {"block": 4, "samples": 12},
        "occlusion": {"window": 4, "stride": 4},
        "random_map": {"noise": noise_of(ids)},
        "smooth_grad": {"noise": noise_of(ids), "sigma": 0.1, "chunk": 4},
    }[name]


def noise_of(ids):
    return normal_per_image([*ids, 0], (3, 3, 8, 8), seed=0, stream="test").double()[:-1]


def attribute(name, model, x, target, ids=None, **more):
    return getattr(attributions, name)(
        model, x, target, **options_of(name, range(len(x)) if ids is None else ids), **more
    )


SANITY_ROWS = ("edge_detector", "random_map")
"""Maps that no model has any part in: there is nothing to train."""

GRAPHLESS = ("grad_cam", "kernel_shap", "lime", "occlusion")
"""Methods that switch parts of an image off, or look at a layer: there is no derivative to follow."""
ONE_BY_ONE = ("kernel_shap", "lime")
"""Slow: Captum fits a regression for each image."""

every = pytest.mark.parametrize("name", attributions.__all__)
every_differentiable = pytest.mark.parametrize("name", [n for n in attributions.__all__ if n not in GRAPHLESS])
every_of_a_model = pytest.mark.parametrize(
    "name", [name for name in attributions.__all__ if name not in (*SANITY_ROWS, *GRAPHLESS)]
)


@every
def test_one_signed_number_per_entry_without_a_graph(name, model, x, target):
    result = attribute(name, model, x.clone().requires_grad_(), target)
    assert result.shape == x.shape
    assert result.dtype == x.dtype
    assert (result < 0).any() or name in {"edge_detector", "grad_cam"}  # magnitudes
    assert (result > 0).any()
    assert not result.requires_grad
    assert reduction_of(getattr(attributions, name)) in REDUCTIONS


@pytest.mark.parametrize(
    ("name", "create_graph"),
    [(name, graph) for name in attributions.__all__ for graph in ((False,) if name in GRAPHLESS else (False, True))],
)
def test_leaves_images_and_model_alone(name, create_graph, model, x, target):
    image, weights = x.clone(), {key: value.clone() for key, value in model.state_dict().items()}
    handle = model.conv.register_forward_hook(lambda *_: None)
    attribute(name, model, x, target, **({"create_graph": True} if create_graph else {}))
    assert torch.equal(x, image)
    assert not x.requires_grad
    assert x.grad is None
    assert all(torch.equal(value, weights[key]) for key, value in model.state_dict().items())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())
    assert list(model.conv._forward_hooks) == [handle.id]
    handle.remove()
    assert not any(module._forward_hooks or module._backward_hooks for module in model.modules())


@every
def test_ignores_the_ambient_grad_mode(name, model, x, target):
    expected = attribute(name, model, x, target)
    with torch.no_grad():
        assert torch.equal(attribute(name, model, x, target), expected)


@every_differentiable
def test_keeps_its_graph_in_any_grad_mode(name, model, x, target):
    with torch.no_grad():
        assert attribute(name, model, x, target, create_graph=True).requires_grad == (name not in SANITY_ROWS)


@every
@settings(max_examples=8, deadline=None)
@given(size=st.sampled_from([1, 7, 64]), seed=st.integers(0, 99))
def test_neither_batch_size_nor_batch_mates_matter(name, size, seed):
    model, generator = smooth_classifier(), torch.Generator().manual_seed(seed)
    images = 3 if name in ONE_BY_ONE else 64
    x = torch.rand(images, 3, 8, 8, generator=generator, dtype=torch.float64)
    target = torch.randint(0, 4, (images,), generator=generator)
    together = attribute(name, model, x, target, ids=range(images))
    order = torch.randperm(images, generator=generator)
    for ids in order.split(size)[:2]:
        alone = attribute(name, model, x[ids], target[ids], ids=ids.tolist())
        torch.testing.assert_close(alone, together[ids], rtol=1e-12, atol=1e-14)


@every_of_a_model
def test_can_be_trained_on(name, model, x, target):
    """The derivative of a loss on the attribution, along a random direction of weights and pixels, by differences."""
    weights = list(model.parameters())
    directions = [torch.randn_like(weight) for weight in weights]
    pixels = torch.randn_like(x)

    def loss(step, *, create_graph=False):
        moved = (x + step * pixels).requires_grad_()
        with torch.no_grad():
            for weight, direction in zip(weights, directions, strict=True):
                weight.add_(step * direction)
        value = attribute(name, model, moved, target, create_graph=create_graph).pow(2).sum()
        slopes = torch.autograd.grad(value, [*weights, moved], allow_unused=True) if create_graph else ()
        with torch.no_grad():
            for weight, direction in zip(weights, directions, strict=True):
                weight.sub_(step * direction)
        return value, slopes

    _, slopes = loss(0.0, create_graph=True)
    along = sum((s * d).sum() for s, d in zip(slopes, [*directions, pixels], strict=True) if s is not None)
    difference = (loss(1e-5)[0] - loss(-1e-5)[0]) / 2e-5
    torch.testing.assert_close(along, difference, rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    "name", [name for name in attributions.__all__ if name not in ("captum_attribution", *GRAPHLESS)]
)  # Captum cannot
def test_an_empty_batch_gives_an_empty_attribution(name, model, x, target):
    assert attribute(name, model, x[:0], target[:0]).shape == (0, 3, 8, 8)


@every
@pytest.mark.parametrize(
    "wrong", [torch.tensor([1, 2]), torch.zeros(6), torch.zeros(6, 1, dtype=torch.int64), torch.tensor(1)]
)
def test_refuses_a_target_that_is_not_one_class_per_image(name, wrong, model, x):
    with pytest.raises(BadInput, match=r"one class per image, int64 of shape \(6,\)"):
        attribute(name, model, x, wrong)


@every
def test_refuses_images_that_are_not_images(name, model, target):
    with pytest.raises(BadInput, match="floating point"):
        attribute(name, model, torch.zeros(6, 3, 8, 8, dtype=torch.uint8), target)
