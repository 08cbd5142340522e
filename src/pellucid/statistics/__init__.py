"""Intervals and tests for numbers averaged over images or seeds. Imports no torch."""

from pellucid.statistics.detectable import detectable_difference, noise_floor, power, replicate_floor
from pellucid.statistics.equivalence import Equivalence, equal_within, equivalent
from pellucid.statistics.hierarchical import hierarchical, hierarchical_difference
from pellucid.statistics.intervals import Estimate, bootstrap, paired_difference, student, wilson
from pellucid.statistics.multiple import benjamini_hochberg, holm
from pellucid.statistics.paired import PairedTest, paired_test

__all__ = [
    "Equivalence",
    "Estimate",
    "PairedTest",
    "benjamini_hochberg",
    "bootstrap",
    "detectable_difference",
    "equal_within",
    "equivalent",
    "hierarchical",
    "hierarchical_difference",
    "holm",
    "noise_floor",
    "paired_difference",
    "paired_test",
    "power",
    "replicate_floor",
    "student",
    "wilson",
]
