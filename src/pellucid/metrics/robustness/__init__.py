"""Accuracy on clean and on attacked images: ``f(model, x, y, *, …) -> bool [B]``, one verdict per image."""

from pellucid.metrics.robustness.accuracy import natural_accuracy, robust_accuracy

__all__ = ["natural_accuracy", "robust_accuracy"]
