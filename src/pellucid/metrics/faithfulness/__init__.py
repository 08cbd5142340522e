"""Faithfulness: does the model's prediction depend on the pixels that a saliency map puts first?"""

from pellucid.metrics.faithfulness.aopc import aopc, aopc_legacy, aopc_paper
from pellucid.metrics.faithfulness.diffroad import diffroad, keep_mask
from pellucid.metrics.faithfulness.imputation import Imputation, impute
from pellucid.metrics.faithfulness.known_pixels import precision_at_truth
from pellucid.metrics.faithfulness.road import (
    ROAD_PERCENTAGES,
    removal_masks,
    removal_order,
    road_curve,
    tie_share,
    zero_map,
)

__all__ = [
    "ROAD_PERCENTAGES",
    "Imputation",
    "aopc",
    "aopc_legacy",
    "aopc_paper",
    "diffroad",
    "impute",
    "keep_mask",
    "precision_at_truth",
    "removal_masks",
    "removal_order",
    "road_curve",
    "tie_share",
    "zero_map",
]
