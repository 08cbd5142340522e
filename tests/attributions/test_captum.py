import sys

import captum.attr
import numpy as np
import pytest
import torch
from torch import nn

from pellucid.attributions import captum_attribution, gradient, input_x_gradient
from pellucid.errors import BadInput

WITHOUT_CHANCE = {
    "Deconvolution": {},
    "DeepLift": {},
    "FeatureAblation": {"perturbations_per_eval": 8},
    "GuidedBackprop": {},
    "InputXGradient": {},
    "LRP": {},
    "Occlusion": {"sliding_window_shapes": (3, 4, 4), "strides": (3, 2, 2)},
    "Saliency": {"abs": False},
}
OF_A_LAYER = {
    "GuidedGradCam": {},
    "InternalInfluence": {"n_steps": 5},
    "LayerActivation": {},
    "LayerConductance": {"n_steps": 5},
    "LayerGradCam": {"relu_attributions": True},
    "NeuronGradient": {"neuron_selector": (1, 2, 3)},
}
QUADRANTS = torch.arange(4).view(1, 1, 2, 2).repeat_interleave(4, 2).repeat_interleave(4, 3).repeat(1, 3, 1, 1)
BY_CHANCE = {
    "GradientShap": {"baselines": torch.zeros(2, 3, 8, 8, dtype=torch.float64), "n_samples": 3, "stdevs": 0.1},
    "NoiseTunnel": {"of": "Saliency", "abs": False, "nt_samples": 3, "stdevs": 0.2},
    "ShapleyValueSampling": {"n_samples": 2, "feature_mask": QUADRANTS},
}


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.relu, self.pool = nn.Conv2d(3, 5, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)
        self.head = nn.Linear(80, 4)

    def forward(self, images):
        return self.head(self.pool(self.relu(self.conv(images))).flatten(1))


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Network().double().eval()


def hooks(model):
    return [len(hooked) for m in model.modules() for name, hooked in vars(m).items() if name.endswith("_hooks")]


@pytest.mark.parametrize("method", WITHOUT_CHANCE)
def test_passes_on_what_captum_says(method, model, x, target):
    options = WITHOUT_CHANCE[method]
    expected = getattr(captum.attr, method)(model).attribute(x.clone().requires_grad_(), target=target, **options)
    found = captum_attribution(model, x, target, method=method, **options)
    assert torch.equal(found, expected)
    assert not found.requires_grad


@pytest.mark.parametrize("method", OF_A_LAYER)
def test_enlarges_the_attribution_to_a_layer(method, model, x, target):
    options, kind = OF_A_LAYER[method], getattr(captum.attr, method)
    aim = {} if method in {"LayerActivation", "NeuronGradient"} else {"target": target}
    expected = kind(model, model.pool).attribute(x.clone().requires_grad_(), **aim, **options)
    found = captum_attribution(model, x, target, method=method, layer="pool", **options)
    assert found.shape[2:] == (8, 8)
    if expected.shape[2:] == (4, 4):
        expected = nn.functional.interpolate(expected, size=(8, 8), mode="bilinear")
    torch.testing.assert_close(found, expected.detach(), rtol=0, atol=0)


@pytest.mark.parametrize("method", BY_CHANCE)
def test_random_methods_depend_on_the_seed_and_on_nothing_else(method, model, x, target):
    def explain(rows, seed):
        return captum_attribution(model, x[rows], target[rows], method=method, seed=seed, **BY_CHANCE[method])

    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    together = explain(slice(None), 3)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert (np.random.get_state()[1] == numpy_state).all()  # noqa: NPY002
    torch.rand(7)
    np.random.rand(7)  # noqa: NPY002
    for row in (0, 4):
        torch.testing.assert_close(explain(slice(row, row + 1), 3)[0], together[row], rtol=1e-12, atol=1e-12)
    assert not torch.allclose(explain(slice(None), 4), together)


def test_every_method_of_captum_for_tensors_has_a_name(model, x, target):
    with pytest.raises(BadInput, match="unknown captum method 'Salience': did you mean 'Saliency'") as error:
        captum_attribution(model, x, target, method="Salience")
    assert {*WITHOUT_CHANCE, *OF_A_LAYER, *BY_CHANCE, "LayerLRP", "Lime", "DeepLiftShap"} <= set(
        str(error.value).split("valid: ")[1].split(", ")
    )
    assert "LLMAttribution" not in str(error.value)


@pytest.mark.parametrize("spelling", ["Saliency", "saliency", "SALIENCY"])
def test_case_and_hyphens_do_not_matter(spelling, model, x, target):
    torch.testing.assert_close(
        captum_attribution(model, x, target, method=spelling, abs=False), gradient(model, x, target)
    )
    assert captum_attribution(model, x, target, method="input-x_gradient").shape == x.shape


@pytest.mark.parametrize("method", ["DeepLift", "GuidedBackprop", "LRP", "LayerGradCam"])
def test_leaves_no_trace_on_the_model_even_if_it_fails(method, model, x, target):
    calls = []
    handle = model.conv.register_forward_hook(lambda *_: calls.append(1))
    before, attributes = hooks(model), [set(vars(module)) for module in model.modules()]
    layer = "pool" if method.startswith("Layer") else None
    captum_attribution(model, x, target, method=method, layer=layer)
    assert hooks(model) == before
    wrong = torch.full_like(target, 99)
    with pytest.raises((IndexError, AssertionError, RuntimeError)):
        captum_attribution(model, x, wrong, method=method, layer=layer)
    assert hooks(model) == before
    assert [set(vars(module)) for module in model.modules()] == attributes
    calls.clear()
    model(x)
    assert calls == [1]
    handle.remove()  # the user's handle still works
    model(x)
    assert calls == [1]


@pytest.mark.parametrize(("method", "ours"), [("Saliency", gradient), ("InputXGradient", input_x_gradient)])
def test_keeps_the_same_graph_as_ours(method, ours, model, x, target):
    options = {"abs": False} if method == "Saliency" else {}
    theirs = captum_attribution(model, x, target, method=method, create_graph=True, **options)
    expected = torch.autograd.grad(ours(model, x, target, create_graph=True).pow(2).sum(), model.conv.weight)
    torch.testing.assert_close(torch.autograd.grad(theirs.pow(2).sum(), model.conv.weight), expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "DeepLift", "create_graph": True}, "DeepLift cannot keep its graph"),
        ({"method": "LayerGradCam"}, "needs the name of a layer; there are: conv, relu, pool, head"),
        ({"method": "LayerGradCam", "layer": "convv"}, "unknown layer 'convv': did you mean 'conv'"),
        ({"method": "Saliency", "layer": "pool"}, "leave 'layer' out"),
        ({"method": "LayerActivation", "layer": "head"}, r"returned a tensor of shape \(6, 4\), not a map"),
        ({"method": "IntegratedGradients", "n_step": 3}, "did you mean 'n_steps'"),
        ({"method": "IntegratedGradients", "return_convergence_delta": True}, "unknown option"),
        ({"method": "Occlusion"}, "Occlusion: missing a required argument: 'sliding_window_shapes'"),
        ({"method": "NoiseTunnel"}, "of=Saliency"),
    ],
)
def test_refuses_what_it_cannot_do(options, message, model, x, target):
    with pytest.raises(BadInput, match=message):
        captum_attribution(model, x, target, **options)


def test_takes_lists_from_a_config_for_tuples(model, x, target):
    lists = {"sliding_window_shapes": [3, 4, 4], "strides": [3, 2, 2]}
    found = captum_attribution(model, x, target, method="occlusion", **lists)
    expected = captum_attribution(model, x, target, method="occlusion", **WITHOUT_CHANCE["Occlusion"])
    assert torch.equal(found, expected)


def test_says_how_to_install_captum(model, x, target, monkeypatch):
    monkeypatch.setitem(sys.modules, "captum", None)
    with pytest.raises(BadInput, match=r"pip install pellucid\[captum\]"):
        captum_attribution(model, x, target, method="Saliency")
