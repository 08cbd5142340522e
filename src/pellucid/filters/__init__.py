"""The smoothing filters of the SmoothBlock: pure functions on feature maps [B, C, H, W], each channel on its own."""

from pellucid.filters.gaussian import gaussian
from pellucid.filters.identity import identity
from pellucid.filters.learned import learned
from pellucid.filters.mean import mean
from pellucid.filters.median import median

__all__ = ["gaussian", "identity", "learned", "mean", "median"]
