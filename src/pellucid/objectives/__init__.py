"""Training objectives: ``f(model, x, y, *, generator, …) -> Loss``. A new one is one file and one import line here."""

from pellucid.objectives.adversarial import adversarial
from pellucid.objectives.adversarial_legacy import adversarial_legacy
from pellucid.objectives.natural import natural

__all__ = ["adversarial", "adversarial_legacy", "natural"]
