import pytest
import torch
from captum.attr import NoiseTunnel, Saliency

from pellucid.attributions import gradient, smooth_grad
from pellucid.errors import BadInput


@pytest.fixture
def noise(x):
    return torch.randn(len(x), 5, *x.shape[1:], generator=torch.Generator().manual_seed(4), dtype=x.dtype)


def test_equals_captum_with_the_same_noise(model, x, target):
    torch.manual_seed(7)
    tunnel = NoiseTunnel(Saliency(model))
    expected = tunnel.attribute(x, nt_type="smoothgrad", nt_samples=5, stdevs=0.2, target=target, abs=False)
    torch.manual_seed(7)
    noise = torch.normal(0, torch.full((len(x) * 5, *x.shape[1:]), 0.2)).to(x) / 0.2  # float32, as Captum draws
    found = smooth_grad(model, x, target, noise=noise.unflatten(0, (len(x), 5)), sigma=0.2)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


def test_is_the_mean_of_the_gradients(model, x, target, noise):
    expected = torch.stack([gradient(model, x + 0.3 * draw, target) for draw in noise.unbind(1)]).mean(0)
    torch.testing.assert_close(smooth_grad(model, x, target, noise=noise, sigma=0.3), expected)


def test_without_noise_is_the_gradient(model, x, target, noise):
    torch.testing.assert_close(smooth_grad(model, x, target, noise=noise, sigma=0.0), gradient(model, x, target))


def test_the_order_of_the_draws_does_not_matter(model, x, target, noise):
    found = smooth_grad(model, x, target, noise=noise, sigma=0.3)
    torch.testing.assert_close(smooth_grad(model, x, target, noise=noise.flip(1), sigma=0.3), found)


@pytest.mark.parametrize("chunk", [1, 2, 6, 7, 13, 1000])
def test_chunk_bounds_the_passes_and_not_the_result(chunk, model, x, target, noise):
    passes = []
    model.register_forward_pre_hook(lambda _, inputs: passes.append(len(inputs[0])))
    found = smooth_grad(model, x, target, noise=noise, sigma=0.3, chunk=chunk)
    assert max(passes) <= chunk
    assert sum(passes) == 6 * 5
    in_one = smooth_grad(model, x, target, noise=noise, sigma=0.3, chunk=1000)
    torch.testing.assert_close(found, in_one, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("shape", [(6, 3, 8, 8), (5, 2, 3, 8, 8), (6, 0, 3, 8, 8), (6, 2, 1, 8, 8)])
def test_refuses_noise_of_another_shape(shape, model, x, target):
    with pytest.raises(BadInput, match=r"\[6, S, 3, 8, 8\] with S ≥ 1"):
        smooth_grad(model, x, target, noise=torch.zeros(shape), sigma=0.1)
