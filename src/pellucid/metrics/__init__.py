"""Metrics: per-image numbers in float64, NaN where undefined. Each folder fixes the signature of its functions."""
