"""Stability: how far the map of an image survives a small perturbation of it.

Comparisons of two maps are ``f(a, b) -> [B]`` float64, per image; ROS takes maps and logits of many perturbed copies.
A new one is one file and one line here.
"""

from pellucid.metrics.stability.aggregates import Aggregate, log10_mean, log10_mean_legacy, log10_median
from pellucid.metrics.stability.centre_shift import centre_shift
from pellucid.metrics.stability.cosine import cosine
from pellucid.metrics.stability.kendall import kendall
from pellucid.metrics.stability.misalignment import misalignment, misalignments, relative_misalignment
from pellucid.metrics.stability.noise import one_sided_noise, symmetric_noise
from pellucid.metrics.stability.outlier_dependence import outlier_dependence
from pellucid.metrics.stability.ros import Ros, ros_norm, ros_quantus
from pellucid.metrics.stability.spearman import spearman
from pellucid.metrics.stability.ssim import ssim, ssim_clean, ssim_legacy
from pellucid.metrics.stability.top_k_intersection import top_k_intersection

__all__ = [
    "Aggregate",
    "Ros",
    "centre_shift",
    "cosine",
    "kendall",
    "log10_mean",
    "log10_mean_legacy",
    "log10_median",
    "misalignment",
    "misalignments",
    "one_sided_noise",
    "outlier_dependence",
    "relative_misalignment",
    "ros_norm",
    "ros_quantus",
    "spearman",
    "ssim",
    "ssim_clean",
    "ssim_legacy",
    "symmetric_noise",
    "top_k_intersection",
]
