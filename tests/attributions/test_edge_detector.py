import kornia
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import sobel

from pellucid.attributions import edge_detector
from pellucid.attributions.reduction import reduction_of


def no_model(x):
    raise AssertionError("the model was asked")


def edges(x, **more):
    return edge_detector(no_model, x, torch.zeros(len(x), dtype=torch.int64), **more)


def images(seed, count=3, side=7):
    return torch.rand(count, 3, side, side + 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@given(seed=st.integers(0, 1000), side=st.integers(1, 9))
def test_equals_scipy(seed, side):
    x = images(seed, side=side)
    for plane, found in zip(x.flatten(0, 1).numpy(), edges(x).flatten(0, 1), strict=True):
        down, across = (sobel(plane, axis=axis, mode="nearest") / 8 for axis in (0, 1))
        torch.testing.assert_close(found, torch.from_numpy(np.hypot(down, across)), rtol=1e-12, atol=1e-14)


def test_equals_kornia():
    x = images(0)
    torch.testing.assert_close(edges(x), kornia.filters.sobel(x, eps=0.0), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("axis", [2, 3])
def test_a_ramp_has_its_slope(axis):
    ramp = 0.05 * torch.arange(8.0, dtype=torch.float64).view([-1, 1] if axis == 2 else [1, -1]).expand(8, 8)
    found = edges(ramp[None, None])[0, 0]
    torch.testing.assert_close(found[1:-1, 1:-1], torch.full((6, 6), 0.05, dtype=torch.float64))
    assert reduction_of(edge_detector) == "absolute"


@given(seed=st.integers(0, 1000), scale=st.floats(0.01, 100), shift=st.floats(-1, 1))
def test_follows_contrast_and_ignores_brightness(seed, scale, shift):
    x = images(seed)
    torch.testing.assert_close(edges(scale * x + shift), scale * edges(x), rtol=1e-9, atol=1e-9)


def test_a_flat_image_has_no_edges_and_a_finite_slope():
    x = torch.full((1, 1, 5, 5), 0.4, dtype=torch.float64, requires_grad=True)
    found = edges(x, create_graph=True)
    assert (found == 0).all()
    found.sum().backward()
    assert (x.grad == 0).all()


def test_its_slope_is_right():
    x = images(1, count=1, side=4).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: edges(x, create_graph=True), x)
    assert not edges(x).requires_grad
