"""Training objectives: ``f(model, x, y, *, generator, …) -> Loss``. A new one is one file and one import line here."""

from pellucid.objectives.adversarial import adversarial
from pellucid.objectives.adversarial_legacy import adversarial_legacy
from pellucid.objectives.elastic_net import elastic_net
from pellucid.objectives.fast_adversarial import fast_adversarial
from pellucid.objectives.gaussian_noise import gaussian_noise
from pellucid.objectives.gaze import gaze
from pellucid.objectives.group_norm import group_norm
from pellucid.objectives.input_gradient_penalty import input_gradient_penalty
from pellucid.objectives.l1 import l1
from pellucid.objectives.natural import natural
from pellucid.objectives.nrat_legacy import elastic_net_legacy, gaze_legacy, group_norm_legacy, l1_legacy
from pellucid.objectives.trades import trades

__all__ = [
    "adversarial",
    "adversarial_legacy",
    "elastic_net",
    "elastic_net_legacy",
    "fast_adversarial",
    "gaussian_noise",
    "gaze",
    "gaze_legacy",
    "group_norm",
    "group_norm_legacy",
    "input_gradient_penalty",
    "l1",
    "l1_legacy",
    "natural",
    "trades",
]
