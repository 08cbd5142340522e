from functools import partial

import pytest
import torch

from pellucid import attributions
from pellucid.attributions.reduction import reduces, reduction_of, saliency_map
from pellucid.errors import BadInput


def test_the_two_reductions_differ_where_channels_disagree():
    attribution = torch.tensor([1.0, -3.0, 0.5]).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    assert torch.equal(saliency_map(attribution, "signed"), torch.full((1, 1, 2, 2), -1.5))
    assert torch.equal(saliency_map(attribution, "absolute"), torch.full((1, 1, 2, 2), 4.5))


def test_the_methods_are_reduced_as_in_the_paper():
    found = {name: reduction_of(getattr(attributions, name)) for name in attributions.__all__}
    assert found == {
        "captum_attribution": "signed",
        "edge_detector": "absolute",
        "grad_cam": "signed",
        "gradient": "absolute",
        "input_x_gradient": "signed",
        "integrated_gradients": "signed",
        "kernel_shap": "signed",
        "lime": "signed",
        "occlusion": "signed",
        "random_map": "absolute",
        "smooth_grad": "absolute",
    }


def test_the_mark_survives_partial_application_and_leaves_the_function_alone():
    def function(model, x, target, *, power):
        return x**power

    assert reduces("signed")(function) is function
    assert reduction_of(partial(partial(function, power=2), None)) == "signed"


def test_keeps_its_graph():
    attribution = torch.tensor([[[[2.0]], [[-1.0]]]], requires_grad=True)
    saliency_map(attribution, "absolute").sum().backward()
    assert attribution.grad.flatten().tolist() == [1, -1]


def test_refuses_the_unmarked_the_unknown_and_the_misshapen():
    with pytest.raises(BadInput, match=r"mark it @reduces"):
        reduction_of(torch.relu)
    with pytest.raises(BadInput, match="did you mean 'absolute'"):
        saliency_map(torch.zeros(1, 1, 2, 2), "absolut")
    with pytest.raises(BadInput, match=r"\[B, C, H, W\]; got \(2, 2\)"):
        saliency_map(torch.zeros(2, 2), "signed")
