import pytest
import torch
from torch import nn

from pellucid.regularisers import spectral_norm
from pellucid.regularisers.spectral_norm import largest_singular_value


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def network():
    torch.manual_seed(0)
    layers = nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3)
    return nn.Sequential(*layers).double()


def batch():
    return draw(5, 2, 4, 4).sigmoid(), torch.tensor([0, 1, 2, 0, 1])


@pytest.mark.parametrize("shape", [(3, 7), (7, 3), (1, 5), (5, 1), (20, 20)])
def test_is_the_largest_singular_value(shape):
    matrix = draw(*shape)
    found = largest_singular_value(matrix, start=draw(shape[1], seed=1), iterations=500)
    assert found.item() == pytest.approx(torch.linalg.matrix_norm(matrix, ord=2).item(), rel=1e-8)


def test_few_iterations_come_from_below():
    matrix = draw(30, 30)
    found = [largest_singular_value(matrix, start=draw(30, seed=1), iterations=n).item() for n in (1, 2, 4, 8, 400)]
    assert found == sorted(found)
    assert found[0] < 0.99 * found[-1]


def test_sums_half_squares_over_linear_and_convolutional_weights():
    model, (x, y) = network(), batch()
    weights = model[0].weight.flatten(1), model[4].weight
    expected = sum(torch.linalg.matrix_norm(weight, ord=2).square().item() / 2 for weight in weights)
    found = spectral_norm(model, x, y, generator=generator(), iterations=300)
    assert found.tolist() == pytest.approx([expected] * 5, rel=1e-9)


def test_its_gradient_is_that_of_the_exact_norm():
    model, (x, y) = network(), batch()
    parameters = [model[0].weight, model[4].weight]
    found = torch.autograd.grad(spectral_norm(model, x, y, generator=generator(), iterations=300).mean(), parameters)
    exact = sum(torch.linalg.matrix_norm(weight.flatten(1), ord=2).square() / 2 for weight in parameters)
    for ours, theirs in zip(found, torch.autograd.grad(exact, parameters), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-9)


def test_weights_of_zero_give_zero_and_no_nan():
    model, (x, y) = network(), batch()
    nn.init.zeros_(model[4].weight)
    nn.init.zeros_(model[0].weight)
    value = spectral_norm(model, x, y, generator=generator())
    value.sum().backward()
    assert value.tolist() == [0] * 5
    assert torch.isfinite(model[0].weight.grad).all()


def test_a_network_without_weights_has_nothing_to_shrink():
    x, y = batch()
    assert spectral_norm(nn.Flatten(), x, y, generator=generator()).tolist() == [0] * 5
