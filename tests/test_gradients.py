import ast
from pathlib import Path

import pytest
import torch
from torch import nn

import pellucid
from pellucid.errors import BadInput
from pellucid.gradients import centred_logit_of, cross_entropy_with, input_gradient, logit_of


@pytest.mark.parametrize("score", [logit_of, centred_logit_of, cross_entropy_with])
def test_equals_central_differences(tiny_net, tiny_batch, score):
    x, y = tiny_batch
    logits, gradient = input_gradient(tiny_net, x, score(y))
    direction = torch.randn(x.shape, dtype=x.dtype, generator=torch.Generator().manual_seed(0))
    step = 1e-5
    with torch.no_grad():
        high, low = (score(y)(tiny_net(x + s * step * direction)) for s in (1, -1))
    torch.testing.assert_close(
        (gradient * direction).flatten(1).sum(1), (high - low) / (2 * step), rtol=1e-6, atol=1e-8
    )
    torch.testing.assert_close(logits, tiny_net(x))
    assert not gradient.requires_grad
    assert not x.requires_grad


def test_keeps_its_graph_on_request(tiny_net, tiny_batch):
    x, y = tiny_batch
    _, gradient = input_gradient(tiny_net, x, logit_of(y), create_graph=True)
    gradient.square().sum().backward()
    weight = tiny_net.head.weight
    before, step = weight.grad[0, 0].item(), 1e-5
    values = []
    for sign in (1, -1):
        with torch.no_grad():
            weight[0, 0] += sign * step
            values.append(input_gradient(tiny_net, x, logit_of(y))[1].square().sum().item())
            weight[0, 0] -= sign * step
    assert before == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-5)


def test_works_under_no_grad(tiny_net, tiny_batch):
    x, y = tiny_batch
    with torch.no_grad():
        _, gradient = input_gradient(tiny_net, x, logit_of(y))
    assert gradient.abs().sum() > 0


def test_odd_model_outputs_are_named(tiny_batch):
    class Odd(nn.Module):
        def forward(self, x):
            return {"logits": x.flatten(1)}

    with pytest.raises(BadInput, match="returned a dict"):
        input_gradient(Odd(), tiny_batch[0], logit_of(tiny_batch[1]))
    with pytest.raises(BadInput, match=r"shape \(8, 1, 6, 6\)"):
        input_gradient(nn.Identity(), tiny_batch[0], logit_of(tiny_batch[1]))


def test_a_target_shorter_than_the_batch_is_refused(tiny_net, tiny_batch):
    x, y = tiny_batch
    with pytest.raises(BadInput, match=r"8 images need one score each; got a score of shape \(5,\)"):
        input_gradient(tiny_net, x, logit_of(y[:5]))


def test_it_is_the_only_autograd_grad_in_the_package():
    found = []
    for path in Path(pellucid.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr == "grad" and ast.unparse(node.value).endswith("autograd"):
                found.append(path.name)
    assert set(found) == {"gradients.py"}
