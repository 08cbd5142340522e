"""Attributions: what each input entry contributes to a logit.

Every function is ``f(model, x, target, *, …) -> Attribution [B, C, H, W]``, signed, with ``create_graph=False`` where
it can be trained on, and is marked with how its map is made (:mod:`pellucid.attributions.reduction`). A new one
is one file and one line here.
"""

from pellucid.attributions.captum import captum_attribution
from pellucid.attributions.edge_detector import edge_detector
from pellucid.attributions.grad_cam import grad_cam
from pellucid.attributions.gradient import gradient
from pellucid.attributions.input_x_gradient import input_x_gradient
from pellucid.attributions.integrated_gradients import integrated_gradients
from pellucid.attributions.kernel_shap import kernel_shap
from pellucid.attributions.lime import lime
from pellucid.attributions.occlusion import occlusion
from pellucid.attributions.random_map import random_map
from pellucid.attributions.smooth_grad import smooth_grad

__all__ = [
    "captum_attribution",
    "edge_detector",
    "grad_cam",
    "gradient",
    "input_x_gradient",
    "integrated_gradients",
    "kernel_shap",
    "lime",
    "occlusion",
    "random_map",
    "smooth_grad",
]
