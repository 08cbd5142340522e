"""gaussian, mean and identity: golden taps, kornia, a dense matrix, and the properties of normalised linear filters."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck, gradgradcheck

from pellucid import filters
from pellucid.errors import BadInput
from pellucid.filters import gaussian, identity, mean
from pellucid.filters.gaussian import gaussian_taps

LINEAR = {
    "gaussian": lambda x, size=3: gaussian(x, size=size, sigma=(1.2, 0.7)),
    "mean": lambda x, size=3: mean(x, size=size),
}
SHAPES = [(2, 2), (2, 3), (3, 2), (3, 3), (4, 7), (12, 12), (5, 14)]


def maps(height=6, width=5, *, seed=0, batch=2, channels=3, dtype=torch.float64):
    return torch.randn(batch, channels, height, width, generator=torch.Generator().manual_seed(seed)).to(dtype)


def impulse_response(function, length):
    """The matrix of a filter along W, from its answers to unit impulses on a map of one row."""
    return function(torch.eye(length, dtype=torch.float64)[:, None, None, :])[:, 0, 0, :].T


def reflected(index, length):
    while not 0 <= index < length:
        index = -index if index < 0 else 2 * (length - 1) - index
    return index


@pytest.mark.parametrize(
    ("sigma", "side", "centre"),
    [(2.15, 0.32111, 0.35779), (5.15, 0.33123, 0.33754), (8.75, 0.33261, 0.33479), (0.8, 0.2390, 0.5220)],
)
def test_taps_are_the_golden_values(sigma, side, centre):
    digits = 4 if sigma == 0.8 else 5
    assert [round(tap, digits) for tap in gaussian_taps(3, sigma)] == [centre, side]


def test_taps_of_lenet_to_the_last_digit():
    """Worked out with 40 decimals. The sixth digits in definitions §7 (.321107, .357786) are off by one."""
    assert gaussian_taps(3, 2.15) == pytest.approx([0.35778736374977486, 0.32110631812511257], abs=1e-16)


def test_kernel_of_lenet_is_the_golden_kernel():
    impulse = torch.zeros(1, 1, 7, 7, dtype=torch.float64)
    impulse[..., 3, 3] = 1
    kernel = gaussian(impulse, sigma=2.15)[0, 0, 2:5, 2:5]
    corner, edge, centre = 0.10311, 0.11489, 0.12801
    golden = torch.tensor([[corner, edge, corner], [edge, centre, edge], [corner, edge, corner]], dtype=torch.float64)
    torch.testing.assert_close(kernel, golden, rtol=0, atol=5.1e-6)
    assert abs((kernel - 1 / 9).abs().sum() - 0.0640) < 5e-5  # the distance to the box filter


@pytest.mark.parametrize(
    ("shape", "size"), [(shape, size) for shape in SHAPES for size in (3, 5, 7) if min(shape) > size // 2]
)
def test_equals_kornia(shape, size):
    kornia = pytest.importorskip("kornia.filters")
    x = maps(*shape)
    theirs = kornia.gaussian_blur2d(x, (size, size), (1.2, 0.7), border_type="reflect")
    torch.testing.assert_close(gaussian(x, size=size, sigma=(1.2, 0.7)), theirs, rtol=0, atol=1e-12)
    theirs = kornia.box_blur(x, (size, size), border_type="reflect")
    torch.testing.assert_close(mean(x, size=size), theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("size", [1, 3, 5, 9])
@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 11])
def test_equals_its_definition_along_an_axis(length, size):
    taps = gaussian_taps(size, 1.3)
    matrix = torch.zeros(length, length, dtype=torch.float64)
    for row in range(length):
        for offset in range(-(size // 2), size // 2 + 1):
            column = row + offset
            short = length <= size // 2  # too short to reflect: replicated
            column = min(max(column, 0), length - 1) if short else reflected(column, length)
            matrix[row, column] += taps[abs(offset)]
    measured = impulse_response(lambda x: gaussian(x, size=size, sigma=1.3), length)
    torch.testing.assert_close(measured, matrix, rtol=0, atol=1e-14)


def test_sigma_is_given_as_along_height_then_along_width():
    impulse = torch.zeros(1, 1, 5, 5, dtype=torch.float64)
    impulse[..., 2, 2] = 1
    answer = gaussian(impulse, sigma=(10.0, 0.1))[0, 0]
    assert answer[1, 2] > 0.3
    assert answer[2, 1] < 1e-9


@pytest.mark.parametrize("name", LINEAR)
@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (4, 1), (2, 2), (3, 2), (4, 5)])
def test_gradients_of_first_and_second_order(name, size, shape):
    x = maps(*shape, batch=1, channels=2).requires_grad_()
    assert gradcheck(lambda x: LINEAR[name](x, size), x)
    assert gradgradcheck(lambda x: LINEAR[name](x, size), x)


@pytest.mark.parametrize("name", LINEAR)
def test_second_order_reaches_a_function_of_the_gradient(name):
    """The graph of the gradient leads back to what came before the filter, as training on gradients needs."""
    weight = maps(4, 4, batch=1, channels=1).requires_grad_()
    x = maps(4, 4, batch=1, channels=1, seed=1).requires_grad_()
    (first,) = torch.autograd.grad((LINEAR[name](x * weight) ** 3).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad((first**2).sum(), weight)
    assert second.abs().min() > 0


@pytest.mark.parametrize("name", LINEAR)
@given(
    height=st.integers(1, 7),
    width=st.integers(1, 7),
    size=st.sampled_from([1, 3, 5]),
    level=st.floats(-1e3, 1e3),
    seed=st.integers(0, 99),
)
@settings(deadline=None, max_examples=40)
def test_is_linear_and_keeps_constants_and_bounds(name, height, width, size, level, seed):
    a, b = maps(height, width, seed=seed), maps(height, width, seed=seed + 1)
    blur = LINEAR[name]
    torch.testing.assert_close(blur(a + level * b, size), blur(a, size) + level * blur(b, size), rtol=1e-12, atol=1e-9)
    constant = torch.full_like(a, level)
    torch.testing.assert_close(blur(constant, size), constant, rtol=1e-14, atol=0)
    assert blur(a, size).abs().amax() <= a.abs().amax() * (1 + 1e-12)


@pytest.mark.parametrize("function", [*LINEAR.values(), filters.median, identity])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_batch_mates_and_batch_size_change_no_bit(function, dtype):
    x = maps(13, 11, batch=64, dtype=dtype).requires_grad_()
    weights = maps(13, 11, batch=64, dtype=dtype, seed=1)
    together = function(x)
    (gradient,) = torch.autograd.grad((together * weights).sum(), x)
    for start, stop in [(0, 1), (1, 8), (57, 64), (63, 64)]:
        part = x[start:stop].detach().requires_grad_()
        alone = function(part)
        (own,) = torch.autograd.grad((alone * weights[start:stop]).sum(), part)
        assert torch.equal(alone, together[start:stop])
        assert torch.equal(own, gradient[start:stop])


@pytest.mark.parametrize("function", [*LINEAR.values(), filters.median])
def test_memory_layout_changes_no_bit(function):
    x = maps(6, 5).float()
    layouts = [x.to(memory_format=torch.channels_last), x.transpose(2, 3).contiguous().transpose(2, 3)]
    layouts.append(torch.nn.functional.pad(x, (1, 2, 3, 1))[..., 3:-1, 1:-2])  # a view with gaps
    for layout in layouts:
        leaf = layout.detach().requires_grad_()
        plain = x.clone().requires_grad_()
        assert torch.equal(function(leaf), function(plain))
        function(leaf).square().sum().backward()
        function(plain).square().sum().backward()
        assert torch.equal(leaf.grad, plain.grad)
    assert function(layouts[0]).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("function", [*LINEAR.values(), filters.median])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float16, 2e-3), (torch.bfloat16, 2e-2), (torch.float32, 1e-6)])
def test_keeps_the_floating_point_type(function, dtype, tolerance):
    x = maps().to(dtype)
    answer = function(x)
    assert answer.dtype == dtype
    torch.testing.assert_close(answer.double(), function(x.double()), rtol=0, atol=tolerance)


@pytest.mark.parametrize("function", [*LINEAR.values(), filters.median, identity])
def test_does_not_touch_its_input_and_takes_no_images(function):
    x = maps()
    before = x.clone()
    function(x)
    assert torch.equal(x, before)
    assert function(x[:0]).shape == (0, 3, 6, 5)


def test_non_finite_pixels_stay_in_their_neighbourhood():
    for bad in (float("nan"), float("inf")):
        x = maps(7, 7, batch=2, channels=2)
        x[0, 0, 0, 6] = bad  # an edge, where flat memory runs on into the next row
        touched = ~gaussian(x, sigma=2.0).isfinite()
        assert touched[0, 0, :2, 5:].all()
        assert touched.sum() == 4


def test_autocast_does_not_round_the_taps():
    x = torch.ones(1, 1, 8, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(gaussian(x, sigma=0.9), x)
        torch.testing.assert_close(gaussian(x, size=5, sigma=0.9), x)


def test_identity_returns_its_input():
    x = maps()
    assert identity(x) is x


def test_the_folder_says_what_it_offers():
    assert sorted(filters.__all__) == ["gaussian", "identity", "learned", "mean", "median"]


@pytest.mark.parametrize("name", ["gaussian", "mean", "median"])
@pytest.mark.parametrize("size", [0, -3, 2, 4, 3.0])
def test_refuses_a_window_without_a_middle(name, size):
    options = {"sigma": 1.0} if name == "gaussian" else {}
    with pytest.raises(BadInput, match=f"odd whole number.*got {size}$"):
        getattr(filters, name)(maps(), size=size, **options)


@pytest.mark.parametrize("sigma", [0, -1.0, float("nan"), float("inf"), (1.0, 0.0), (1.0,), (1.0, 1.0, 1.0), True, "2"])
def test_refuses_a_sigma_that_is_no_width(sigma):
    with pytest.raises(BadInput, match="sigma must be a positive number") as caught:
        gaussian(maps(), sigma=sigma)
    assert str(caught.value).endswith(repr(sigma))


@pytest.mark.parametrize("sigma", [1e-300, 1e300])
def test_extreme_sigmas_are_the_identity_and_the_mean(sigma):
    x = maps()
    expected = x if sigma < 1 else mean(x)
    torch.testing.assert_close(gaussian(x, sigma=sigma), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("bad", [torch.ones(3, 4, 4), torch.ones(1, 3, 4, 4, dtype=torch.int64)])
@pytest.mark.parametrize("function", [*LINEAR.values(), filters.median, identity])
def test_refuses_what_is_no_map(function, bad):
    with pytest.raises(BadInput, match=r"floating point maps \[B, C, H, W\]; got"):
        function(bad)
