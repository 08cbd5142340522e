"""Pellucid's attributions for Captum's metrics and for Quantus."""

import inspect
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from pellucid.attributions import gradient, integrated_gradients
from pellucid.attributions.reduction import saliency_map
from pellucid.errors import BadInput
from pellucid.integrations.quantus import explain_func

sys.path.append(os.path.join(os.path.dirname(__file__), "..", "reference"))
from oracle import reference_python


@pytest.fixture
def model():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(144, 5)).eval()


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(1)
    return torch.rand(6, 3, 8, 8, generator=generator), torch.randint(0, 5, (6,), generator=generator)


# --- Captum -----------------------------------------------------------------------------------------------------------


def test_captum_gets_what_pellucid_gives(model, batch):
    attr = pytest.importorskip("captum.attr")
    from pellucid.integrations.captum import as_captum

    x, y = batch
    explained = as_captum("gradient", model)
    assert isinstance(explained, attr.Attribution)
    expected = gradient(model, x, y)
    assert torch.equal(explained.attribute(x, target=y), expected)
    assert torch.equal(explained.attribute((x,), target=y)[0], expected)
    assert torch.equal(explained.attribute(x, target=2), gradient(model, x, torch.full((6,), 2)))
    assert torch.equal(explained.attribute(x), gradient(model, x, model(x).argmax(1)))
    assert torch.equal(explained.attribute(x), attr.Saliency(model).attribute(x, model(x).argmax(1), abs=False))
    model.train()
    assert torch.equal(explained.attribute(x, target=y), expected)
    assert model.training


def test_infidelity_of_the_gradient_of_a_linear_model_is_zero(batch):
    pytest.importorskip("captum")
    from captum.metrics import infidelity

    from pellucid.integrations.captum import as_captum

    linear = nn.Sequential(nn.Flatten(), nn.Linear(192, 5)).double()
    x, y = batch[0].double(), batch[1]

    def perturb(inputs):
        noise = 0.1 * torch.randn_like(inputs)
        return noise, inputs - noise

    maps = as_captum("gradient", linear).attribute(x, target=y)
    assert infidelity(linear, perturb, x, maps, target=y).abs().max() < 1e-20
    assert infidelity(linear, perturb, x, 2 * maps, target=y).min() > 1e-6


def test_sensitivity_max_takes_the_attribution_as_its_own(model, batch):
    pytest.importorskip("captum")
    from captum.attr import IntegratedGradients
    from captum.metrics import sensitivity_max

    from pellucid.integrations.captum import as_captum

    x, y = batch
    explainers = [as_captum("integrated_gradients", model, steps=32, rule="trapezoid"), IntegratedGradients(model)]
    found = []
    for explained in explainers:
        torch.manual_seed(0)
        options = {} if explained is explainers[0] else {"n_steps": 32, "method": "riemann_trapezoid"}
        found.append(sensitivity_max(explained.attribute, x, target=y, n_perturb_samples=4, **options))
    torch.testing.assert_close(found[0], found[1], rtol=0.1, atol=1e-3)  # they place the points otherwise


def test_captum_is_told_what_cannot_be(model, batch):
    pytest.importorskip("captum")
    from pellucid.integrations.captum import as_captum

    with pytest.raises(BadInput, match="did you mean 'gradient'"):
        as_captum("gradent", model)
    with pytest.raises(BadInput, match="one batch of images"):
        as_captum("gradient", model).attribute((batch[0], batch[0]))


# --- Quantus ----------------------------------------------------------------------------------------------------------


def test_quantus_gets_arrays_of_one_channel(model, batch):
    x, y = batch
    maps = explain_func(model=model, inputs=x.numpy(), targets=y.numpy())
    assert type(maps) is np.ndarray
    assert (maps.shape, maps.dtype) == ((6, 1, 8, 8), np.float32)
    np.testing.assert_array_equal(maps, saliency_map(gradient(model, x, y), "absolute").numpy())
    integrated = explain_func(model, x.numpy(), y.tolist(), attribution="integrated_gradients", steps=8, device="cpu")
    expected = integrated_gradients(model, x, y, steps=8).sum(1, keepdim=True)
    np.testing.assert_allclose(integrated, expected.numpy(), rtol=1e-5, atol=1e-7)


def test_an_image_gets_the_same_map_in_any_batch(model, batch):
    x, y = (part.numpy() for part in batch)
    noisy = {"attribution": "smooth_grad", "draws": 3}
    whole, part = explain_func(model, x, y, **noisy), explain_func(model.train(), x[2:4], y[2:4], **noisy)
    np.testing.assert_allclose(part, whole[2:4], rtol=1e-4, atol=1e-7)
    assert model.training


def test_what_quantus_must_not_hand_on(model, batch):
    x, y = (part.numpy() for part in batch)
    with pytest.raises(BadInput, match="pixels must lie in"):
        explain_func(model, 2 * x, y)
    with pytest.raises(BadInput, match="unknown option of attribution 'gradient' 'normalise'"):
        explain_func(model, x, y, normalise=True)
    with pytest.raises(BadInput, match="got a str"):
        explain_func("resnet18", x, y)


QUANTUS = """
import sys
import numpy as np
from quantus import Sparseness

files = np.load(sys.argv[1])
calls = []


def explain_func(model, inputs, targets, **kwargs):
    calls.append((inputs.shape, targets.shape, sorted(kwargs)))
    return files["maps"]


metric = Sparseness(abs=True, normalise=True, disable_warnings=True)
given = dict(model=None, x_batch=files["x"], y_batch=files["y"], channel_first=True)
asked = metric(a_batch=None, explain_func=explain_func, explain_func_kwargs={"attribution": "gradient"}, **given)
given_maps = metric(a_batch=files["maps"], **given)
assert asked == given_maps, (asked, given_maps)
print(calls)
"""


def test_quantus_itself_takes_the_maps(model, batch, tmp_path):
    python = reference_python()
    if python is None:
        pytest.skip("make the reference environment with scripts/reference_environment.sh")
    x, y = (part.numpy() for part in batch)
    np.savez(tmp_path / "in.npz", x=x, y=y, maps=explain_func(model, x, y))
    done = subprocess.run(
        [python, "-c", QUANTUS, tmp_path / "in.npz"],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    ((inputs, targets, options),) = eval(done.stdout)
    assert (inputs, targets) == ((6, 3, 8, 8), (6,))
    assert set(options) <= set(inspect.signature(explain_func).parameters)
