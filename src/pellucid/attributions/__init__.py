"""Attributions: what each input entry contributes to a logit.

Every function is ``f(model, x, target, *, …, create_graph=False) -> Attribution [B, C, H, W]``, signed, and is marked
with how its saliency map is made (:mod:`pellucid.attributions.reduction`). A new one is one file and one line here.
"""

from pellucid.attributions.captum import captum_attribution
from pellucid.attributions.edge_detector import edge_detector
from pellucid.attributions.gradient import gradient
from pellucid.attributions.input_x_gradient import input_x_gradient
from pellucid.attributions.integrated_gradients import integrated_gradients
from pellucid.attributions.random_map import random_map
from pellucid.attributions.smooth_grad import smooth_grad

__all__ = [
    "captum_attribution",
    "edge_detector",
    "gradient",
    "input_x_gradient",
    "integrated_gradients",
    "random_map",
    "smooth_grad",
]
