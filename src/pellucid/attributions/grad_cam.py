"""Grad-CAM: the feature maps of a layer, weighted by how much the logit depends on each."""

from torch import nn

from pellucid.attributions.captum import captum_attribution
from pellucid.attributions.reduction import reduces
from pellucid.errors import BadInput
from pellucid.types import Attribution, Image, Labels


@reduces("signed")
def grad_cam(model: nn.Module, x: Image, target: Labels, *, layer: str | None = None) -> Attribution:
    """ReLU(Σ_k mean(∂z_target/∂A_k)·A_k) of a layer's maps A, enlarged to the image. Needs the captum extra.

    Parameters
    ----------
    model, x, target
        As in :func:`~pellucid.attributions.gradient`. Cost: one forward and one backward pass.
    layer
        The module's name inside the model; the last convolution if absent.

    Returns
    -------
    Attribution
        [B, C, H, W] ≥ 0, each channel the C-th part of the map, so that its sum over channels is the map. It has no
        graph: it cannot be trained on.

    Raises
    ------
    BadInput
        If Captum is missing, there is no such layer, or no convolution.

    References
    ----------
    Selvaraju et al. 2017, "Grad-CAM: visual explanations from deep networks via gradient-based localization".
    """
    place = layer or last_convolution(model)
    found = captum_attribution(model, x, target, method="LayerGradCam", layer=place, relu_attributions=True)
    return found.sum(1, keepdim=True).expand_as(x) / x.shape[1]


def last_convolution(model: nn.Module) -> str:
    """The name of the convolution that was registered last."""
    names = [name for name, module in model.named_modules() if isinstance(module, nn.Conv2d)]
    if not names:
        raise BadInput(f"{type(model).__name__} has no convolution; name the layer for Grad-CAM: layer=…")
    return str(names[-1])
