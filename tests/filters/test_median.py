"""median: kornia and torch.median, order statistics, and sub-gradients that are right on ties too."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional

from pellucid.filters import median


def maps(height=6, width=5, *, seed=0, batch=2, channels=3):
    draw = torch.randn(batch, channels, height, width, generator=torch.Generator().manual_seed(seed))
    return draw.double()


def windows(x, size=3):
    """Every window of the zero-padded maps [B, C, size², H, W]."""
    batch, channels, height, width = x.shape
    return functional.unfold(x, size, padding=size // 2).view(batch, channels, size**2, height, width)


def gradient_of(function, x, outputs):
    leaf = x.clone().requires_grad_()
    return torch.autograd.grad(function(leaf), leaf, outputs)[0]


@pytest.mark.parametrize("size", [1, 3, 5, 7])
@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (4, 1), (2, 2), (3, 3), (12, 12), (6, 13)])
def test_equals_kornia_and_torch_in_value_and_gradient(shape, size):
    kornia = pytest.importorskip("kornia.filters")
    x, outputs = maps(*shape), maps(*shape, seed=1)
    assert torch.equal(median(x, size=size), kornia.median_blur(x, (size, size), border_type="constant"))
    by_torch = lambda x: windows(x, size).median(2).values  # noqa: E731
    assert torch.equal(median(x, size=size), by_torch(x))
    expected = gradient_of(by_torch, x, outputs)
    torch.testing.assert_close(gradient_of(lambda x: median(x, size=size), x, outputs), expected, rtol=0, atol=1e-12)


@given(
    height=st.integers(1, 8),
    width=st.integers(1, 8),
    size=st.sampled_from([3, 5]),
    levels=st.integers(1, 4),
    seed=st.integers(0, 999),
)
@settings(deadline=None, max_examples=100)
def test_is_the_middle_order_statistic_whatever_the_ties(height, width, size, levels, seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(-levels, levels + 1, (2, 2, height, width), generator=generator).double()
    assert torch.equal(median(x, size=size), windows(x, size).sort(2).values[:, :, size**2 // 2])


@given(height=st.integers(3, 8), width=st.integers(3, 8), seed=st.integers(0, 99), slope=st.floats(0.1, 10))
@settings(deadline=None, max_examples=40)
def test_commutes_with_increasing_maps_in_the_interior(height, width, seed, slope):
    x = maps(height, width, seed=seed)
    bend = lambda t: torch.atan(slope * t) + 0.3  # noqa: E731 (the zero padding does not follow it)
    inside = (..., slice(1, -1), slice(1, -1))
    assert torch.equal(median(bend(x))[inside], bend(median(x))[inside])


@given(seed=st.integers(0, 99), levels=st.integers(0, 2))
@settings(deadline=None, max_examples=40)
def test_is_odd_and_positively_homogeneous(seed, levels):
    x = torch.randint(-levels, levels + 1, (2, 2, 5, 6), generator=torch.Generator().manual_seed(seed)).double()
    assert torch.equal(median(-x), -median(x))
    assert torch.equal(median(4 * x), 4 * median(x))


def test_corners_are_zero_and_edges_see_three_zeros():
    x = maps().abs() + 1
    answer = median(x)
    assert (answer[..., [0, 0, -1, -1], [0, -1, 0, -1]] == 0).all()
    edge = torch.cat([x[..., :2, 1:4].flatten(2), torch.zeros(2, 3, 3, dtype=x.dtype)], 2)
    assert torch.equal(answer[..., 0, 2], edge.median(2).values)


@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize("shape", [(1, 3), (2, 2), (5, 4)])
def test_gradients_of_first_and_second_order(shape, size):
    x = maps(*shape, batch=1, channels=2).requires_grad_()
    assert gradcheck(lambda x: median(x, size=size), x)
    assert gradgradcheck(lambda x: median(x, size=size), x)


def test_third_order_and_the_graph_through_the_gradient():
    x = maps(5, 5, batch=1, channels=1).requires_grad_()
    wrt_x = lambda y: torch.autograd.grad(y.sum(), x, create_graph=True)[0]  # noqa: E731
    first = wrt_x(median(x**3) ** 2)
    second = wrt_x(first)
    third = wrt_x(second)
    chosen = gradient_of(median, x.detach(), torch.ones_like(x))  # how often each pixel is a median
    torch.testing.assert_close(first, 6 * x**5 * chosen)
    torch.testing.assert_close(second, 30 * x**4 * chosen)
    torch.testing.assert_close(third, 120 * x**3 * chosen)


@pytest.mark.parametrize("size", [3, 5])
@given(seed=st.integers(0, 999), relu=st.booleans())
@settings(deadline=None, max_examples=60)
def test_on_ties_the_gradient_of_an_output_goes_to_one_valid_place(size, seed, relu):
    """One entry of the window that equals the median gets it all; the padding where that is possible, so nothing."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(-2, 3, (1, 1, 5, 6), generator=generator).double()
    x = x.relu() if relu else x
    value, padding = median(x, size=size)[0, 0], windows(torch.ones_like(x), size)[0, 0] == 0
    for row in range(5):
        for column in range(6):
            one = torch.zeros_like(x)
            one[..., row, column] = 1
            share = gradient_of(lambda x: median(x, size=size), x, one)[0, 0]
            if value[row, column] == 0 and padding[:, row, column].any():
                assert not share.any()
            else:
                assert share.sum() == share.max() == 1
                assert x[0, 0][share == 1] == value[row, column]
                reach = size // 2
                place = share.nonzero()[0]
                assert (place - torch.tensor([row, column])).abs().max() <= reach


def test_among_equal_pixels_the_first_in_reading_order_gets_the_gradient():
    x, one = torch.ones(1, 1, 5, 5), torch.zeros(1, 1, 5, 5)
    one[..., 2, 2] = 1
    share = gradient_of(median, x, one)
    assert share[0, 0, 1, 1] == 1
    assert share.sum() == 1


def test_nan_reaches_every_window_that_sees_it_and_no_other():
    x = maps(7, 7, batch=1, channels=2)
    x[0, 0, 3, 3] = float("nan")
    touched = median(x).isnan()
    assert touched[0, 0, 2:5, 2:5].all()
    assert touched.sum() == 9


def test_infinities_are_ordered_like_numbers():
    x = maps(5, 5, batch=1, channels=1)
    x[..., 2, 2] = float("inf")
    assert torch.equal(median(x), windows(x).median(2).values)
