import math

import pytest
import torch
from torch import nn

from pellucid.regularisers import gradient_density, misalignment, sparse_misalignment
from pellucid.regularisers.gradient_density import density


def draw(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 4, 2), nn.Tanh(), nn.Flatten(), nn.Linear(36, 3)).double()


def batch():
    return draw(0, 5, 2, 4, 4).sigmoid(), torch.tensor([0, 1, 2, 0, 1])


def test_one_pixel_all_pixels_and_half_normal_numbers():
    one = torch.zeros(1, 2, 10, 10, dtype=torch.float64)
    one[0, :, 3, 4] = torch.tensor([2.0, -5.0])
    assert density(one).item() == pytest.approx(0.1, rel=1e-5)
    assert density(-3 * torch.ones(1, 2, 10, 10)).item() == pytest.approx(1)
    assert density(draw(0, 1, 1, 300, 300)).item() == pytest.approx(math.sqrt(2 / math.pi), abs=5e-3)


@pytest.mark.parametrize("scale", [1e-2, 1e6])
def test_the_size_of_the_gradient_does_not_matter(scale):
    field = draw(1, 4, 3, 6, 6)
    torch.testing.assert_close(density(scale * field), density(field), rtol=1e-4, atol=0)


def test_a_vanishing_gradient_is_not_rewarded_and_gives_numbers():
    field = torch.zeros(2, 1, 3, 3, requires_grad=True)
    value = density(field)
    assert value.tolist() == pytest.approx([1, 1])
    value.sum().backward()
    assert torch.isfinite(field.grad).all()


@pytest.mark.parametrize("length", [1e-9, 1e-7, 1e-6, 1e-5, 1e-3, 1.0, 1e3])
def test_it_exceeds_1_only_for_even_maps_that_almost_vanish(length):
    even, one = torch.full((1, 1, 10, 10), length / 10, dtype=torch.float64), torch.zeros(1, 1, 10, 10).double()
    one[..., 0, 0] = length
    bound = min(1 + 1e-6 / length, math.sqrt(2))
    for field in (even, one, length * draw(2, 1, 3, 10, 10) / 30):
        assert 0.1 < density(field).item() <= bound + 1e-12
    assert density(even).item() == pytest.approx((length + 1e-6) / math.sqrt(length**2 + 1e-12))


def test_sparse_misalignment_is_the_sum_of_its_terms_with_the_same_noise():
    model, (x, y) = network(), batch()
    noise = torch.randn((1, *x.shape), generator=torch.Generator().manual_seed(2), dtype=torch.float64)[0]
    turned = misalignment(model, x, y, generator=torch.Generator().manual_seed(2), sigma=0.2)
    predicted = model(x).argmax(1)

    def of(images):
        leaf = images.clone().requires_grad_(True)
        logits = model(leaf)
        score = logits.gather(1, predicted[:, None]).sum() - logits.mean(1).sum()
        maps = torch.autograd.grad(score, leaf)[0].abs().sum(1).flatten(1)
        return maps.sum(1) / (4 * maps.norm(dim=1))

    expected = turned + 0.3 * (of(x) + of(x + 0.2 * noise)) / 2
    found = sparse_misalignment(model, x, y, generator=torch.Generator().manual_seed(2), sigma=0.2, sparsity=0.3)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(gradient_density(model, x, y), of(x), rtol=1e-5, atol=1e-7)


def test_training_on_it_makes_the_map_sparser():
    model, (x, y) = network(), batch()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    before = gradient_density(model, x, y).mean().item()
    for _ in range(30):
        optimizer.zero_grad()
        gradient_density(model, x, y).mean().backward()
        optimizer.step()
    assert gradient_density(model, x, y).mean().item() < before - 0.1
