"""Intervals for numbers averaged over images or seeds. Imports no torch."""

from pellucid.statistics.intervals import Estimate, bootstrap, paired_difference, student, wilson

__all__ = ["Estimate", "bootstrap", "paired_difference", "student", "wilson"]
