import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import gradcheck, gradgradcheck
from torch.nn.functional import avg_pool2d, pad

from pellucid.errors import BadInput
from pellucid.filters import learned


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_equals_its_definition_pixel_by_pixel():
    x, kernel = draw(2, 3, 5, 4), draw(3, 3, 3, seed=1)
    found, around = learned(x, kernel=kernel), pad(x, (1, 1, 1, 1), mode="replicate")
    for channel in range(3):
        weights = kernel[channel].exp() / kernel[channel].exp().sum()
        for i in range(5):
            for j in range(4):
                window = around[:, channel, i : i + 3, j : j + 3]
                torch.testing.assert_close(found[:, channel, i, j], (window * weights).sum((1, 2)))


def test_starts_as_a_mean():
    x = draw(1, 2, 6, 6)
    expected = avg_pool2d(pad(x, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    torch.testing.assert_close(learned(x, kernel=torch.zeros(2, 3, 3, dtype=torch.float64)), expected)


@given(st.integers(0, 1000), st.floats(0.1, 30))
def test_is_an_average_whatever_was_learned(seed, scale):
    x, kernel = draw(2, 2, 4, 5, seed=seed), scale * draw(2, 3, 3, seed=seed + 1)
    found = learned(x, kernel=kernel)
    assert (found.amax((2, 3)) <= x.amax((2, 3)) + 1e-12).all()
    assert (found.amin((2, 3)) >= x.amin((2, 3)) - 1e-12).all()
    torch.testing.assert_close(learned(torch.full_like(x, 0.7), kernel=kernel), torch.full_like(x, 0.7))


def test_is_differentiable_in_maps_and_kernel():
    x, kernel = draw(1, 2, 3, 4).requires_grad_(), draw(2, 3, 3, seed=1).requires_grad_()
    assert gradcheck(lambda a, b: learned(a, kernel=b), (x, kernel))
    assert gradgradcheck(lambda a, b: learned(a, kernel=b), (x, kernel))


@pytest.mark.parametrize("shape", [(3, 3), (1, 3, 3), (2, 3, 5), (2, 2, 2)])
def test_refuses_a_kernel_of_another_shape(shape):
    with pytest.raises(BadInput, match=r"\[C, k, k\] with k odd and the maps' 2 channels"):
        learned(torch.zeros(1, 2, 4, 4), kernel=torch.zeros(shape))
