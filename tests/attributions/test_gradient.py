import torch
from captum.attr import InputXGradient, Saliency

from pellucid.attributions import gradient, input_x_gradient


def test_gradient_equals_captum(model, x, target):
    expected = Saliency(model).attribute(x.clone().requires_grad_(), target=target, abs=False)
    torch.testing.assert_close(gradient(model, x, target), expected, rtol=1e-10, atol=1e-12)


def test_input_x_gradient_equals_captum(model, x, target):
    expected = InputXGradient(model).attribute(x.clone().requires_grad_(), target=target).detach()
    torch.testing.assert_close(input_x_gradient(model, x, target), expected, rtol=1e-10, atol=1e-12)


def test_gradient_equals_finite_differences(model, x, target):
    found = gradient(model, x, target)
    for entry in ((0, 0, 0, 0), (2, 1, 4, 7), (5, 2, 7, 3)):
        step = torch.zeros_like(x)
        step[entry] = 1e-6
        with torch.no_grad():
            change = (model(x + step) - model(x - step))[entry[0], target[entry[0]]]
        torch.testing.assert_close(found[entry], change / 2e-6, rtol=1e-6, atol=1e-9)
