"""Training objectives: ``f(model, x, y, *, generator, …) -> Loss``. A new one is one file and one import line here."""

from pellucid.objectives.adversarial import adversarial
from pellucid.objectives.adversarial_legacy import adversarial_legacy
from pellucid.objectives.elastic_net import elastic_net
from pellucid.objectives.fast_adversarial import fast_adversarial
from pellucid.objectives.gaussian_noise import gaussian_noise
from pellucid.objectives.group_norm import group_norm
from pellucid.objectives.input_gradient_penalty import input_gradient_penalty
from pellucid.objectives.l1 import l1
from pellucid.objectives.natural import natural
from pellucid.objectives.trades import trades

__all__ = [
    "adversarial",
    "adversarial_legacy",
    "elastic_net",
    "fast_adversarial",
    "gaussian_noise",
    "group_norm",
    "input_gradient_penalty",
    "l1",
    "natural",
    "trades",
]
