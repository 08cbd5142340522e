"""The SmoothBlock: its formula, every sigma mode, parameter counts, gradients."""

import math

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional

from pellucid import filters
from pellucid.errors import BadInput
from pellucid.models.smoothing import SmoothBlock


def maps(batch=2, channels=3, height=6, width=5):
    return torch.randn(batch, channels, height, width, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("channels", "parameters"), [(6, 42), (160, 25_760), (64, 4_160), (32, 1_056)])
def test_has_the_published_number_of_parameters(channels, parameters):
    assert sum(parameter.numel() for parameter in SmoothBlock(channels).parameters()) == parameters


@pytest.mark.parametrize("name", filters.__all__)
def test_adds_a_mix_of_the_filtered_channels(name):
    block, x = SmoothBlock(3, name).double(), maps()
    own = {"gaussian": {"sigma": (0.15 * 6 + 0.35, 0.15 * 5 + 0.35)}, "learned": {"kernel": block.kernel}}
    options = own.get(name, {})
    filtered = getattr(filters, name)(x, **options)
    mixed = torch.einsum("oc,bchw->bohw", block.mix.weight[:, :, 0, 0], filtered) + block.mix.bias[:, None, None]
    torch.testing.assert_close(block(x), x + mixed, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("size", "sigma"), [(12, 2.15), (14, 2.45), (16, 2.75), (32, 5.15), (56, 8.75), (1, 0.5)])
def test_sigma_comes_from_the_map_that_enters(size, sigma):
    assert SmoothBlock(1).sigma_at(size, size) == pytest.approx((sigma, sigma), abs=1e-12)
    assert pytest.approx(0.3 * ((size - 1) * 0.5 - 1) + 0.8) == sigma  # OpenCV's rule


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, (0.95, 1.1)),
        ({"swapped_sigma": True}, (1.1, 0.95)),
        ({"sigma": "kernel"}, (0.8, 0.8)),
        ({"sigma": "input", "input_size": (28, 28)}, (4.55, 4.55)),
        ({"sigma": "input", "input_size": (32, 224)}, (5.15, 33.95)),
        ({"sigma": "input", "input_size": (32, 224), "swapped_sigma": True}, (33.95, 5.15)),
        ({"sigma": 1.7}, (1.7, 1.7)),
        ({"sigma": 2}, (2.0, 2.0)),
    ],
)
def test_every_sigma_mode(options, expected):
    block, x = SmoothBlock(3, **options), maps(height=4, width=5)
    assert block.sigma_at(4, 5) == pytest.approx(expected, abs=1e-12)
    torch.testing.assert_close(block.smooth(x), filters.gaussian(x, sigma=expected), rtol=0, atol=1e-12)


def test_the_published_block_with_its_swapped_sigma_equals_kornia():
    """One block, maps of two sizes: sigma follows the map, from W along H and from H along W."""
    kornia = pytest.importorskip("kornia.filters")
    block = SmoothBlock(3, swapped_sigma=True).double()
    for height, width in [(12, 7), (5, 16)]:
        x = maps(height=height, width=width)
        sigma = (0.3 * ((width - 1) * 0.5 - 1) + 0.8, 0.3 * ((height - 1) * 0.5 - 1) + 0.8)
        theirs = x + functional.conv2d(kornia.gaussian_blur2d(x, (3, 3), sigma), block.mix.weight, block.mix.bias)
        torch.testing.assert_close(block(x), theirs, rtol=0, atol=1e-12)


def test_a_learned_kernel_is_trained_with_the_network():
    block, x = SmoothBlock(3, "learned"), maps().float()
    assert sum(parameter.numel() for parameter in block.parameters()) == 3**2 + 3 + 9 * 3
    block(x).square().sum().backward()
    assert block.kernel.grad.abs().sum() > 0
    assert SmoothBlock(3).kernel is None


@pytest.mark.parametrize("name", filters.__all__)
def test_gradients_of_first_and_second_order(name):
    block, x = SmoothBlock(2, name).double(), maps(1, 2, 4, 3).requires_grad_()
    weights = tuple(block.parameters())
    call = lambda x, *_: block(x)  # noqa: E731
    assert gradcheck(call, (x, *weights))
    assert gradgradcheck(call, (x, *weights))


def test_is_found_by_a_dotted_path_too():
    block = SmoothBlock(2, "torch.nn.functional.silu")
    x = torch.randn(1, 2, 3, 3)
    assert torch.equal(block.smooth(x), functional.silu(x))


def test_says_what_it_is():
    assert "filter=median, sigma=kernel" in repr(SmoothBlock(2, "median", sigma="kernel"))


def test_its_mix_starts_as_a_pytorch_convolution():
    weight = SmoothBlock(64).mix.weight
    assert weight.std().item() == pytest.approx(math.sqrt(1 / 3 / 64), rel=0.05)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"filter": "gausian"}, r"unknown filter 'gausian': did you mean 'gaussian'\?"),
        ({"sigma": "featur"}, r"unknown sigma 'featur': did you mean 'feature'\?"),
        ({"sigma": "input"}, r"needs input_size=\(H, W\)"),
        ({"sigma": -1.0}, r"positive number .* got -1.0"),
        ({"sigma": 0}, r"positive number .* got 0"),
    ],
)
def test_refuses_what_it_cannot_do(options, message):
    with pytest.raises(BadInput, match=message):
        SmoothBlock(3, **options)


@pytest.mark.parametrize("name", ["gaussian", "median"])
def test_compiles_to_the_same_numbers(name):
    block, x = SmoothBlock(2, name).double(), maps(1, 2, 5, 4).requires_grad_()
    compiled = torch.compile(block, backend="aot_eager", fullgraph=True)
    expected, got = (torch.autograd.grad(f(x).square().sum(), x)[0] for f in (block, compiled))
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)
