"""Further measurements, by name: does what the headline metrics say hold on perturbations and questions of other kinds?

One value or list of values per image, NaN where undefined.
"""

from dataclasses import replace

import torch

from pellucid.attacks import explanation, held_out
from pellucid.attacks.explanation import BUDGETS, Budget
from pellucid.data.dataset import WAYS_TO_MAPS
from pellucid.errors import BadInput
from pellucid.experiments.suite.batch import Batch
from pellucid.experiments.suite.headline import Measurement, Row, per_level
from pellucid.gradients import centred_logit_of
from pellucid.metrics import alignment
from pellucid.metrics.faithfulness.diffroad import diffroad
from pellucid.metrics.faithfulness.known_pixels import precision_at_truth
from pellucid.metrics.sparsity.group_sparsity import group_gini, quiet_groups
from pellucid.metrics.stability.centre_shift import centre_shift
from pellucid.metrics.stability.cosine import cosine
from pellucid.metrics.stability.kendall import kendall
from pellucid.metrics.stability.misalignment import misalignments
from pellucid.metrics.stability.spearman import spearman
from pellucid.metrics.stability.ssim import ssim_clean
from pellucid.metrics.stability.top_k_intersection import top_k_intersection
from pellucid.theory.curvature import curvature_of_differences, curvature_of_hessian, unit_directions

MISALIGNMENT_SIGMA, MISALIGNMENT_DRAWS = 0.1, 16
"""Standard deviation in pixel units, and draws, of the noise of MA-1 and MA-3 (definitions §3)."""
CURVATURE_DRAWS = 4
DIFFROAD_LEVELS = (0.05, 0.1, 0.2, 0.3, 0.5)
HELD_OUT = tuple(held_out.__all__)
ATTACKS = tuple(explanation.__all__)
COMPARED = {"ssim": ssim_clean, "spearman": spearman, "cosine": cosine}


def misalignment_row(batch: Batch, seed: int) -> Row:
    """MA-1 and MA-3 under Gaussian noise."""
    noise = MISALIGNMENT_SIGMA * batch.normal((MISALIGNMENT_DRAWS, *batch.x.shape[1:]), seed, "misalignment")
    found = misalignments(batch.model, batch.x, noise=noise)
    return {"misalignment": found.angular, "relative_misalignment": found.relative}


def curvature_row(batch: Batch, seed: int) -> Row:
    """How fast the gradient field turns: over a distance, and exactly at the image."""
    directions = unit_directions(batch.ids, batch.x.shape[1:], draws=CURVATURE_DRAWS, seed=seed)
    score = centred_logit_of(batch.y)
    return {
        "curvature": curvature_of_differences(batch.model, batch.x, score, directions).direction,
        "curvature_hvp": curvature_of_hessian(batch.model, batch.x, score, directions).direction,
    }


def groups_row(batch: Batch, _: int) -> Row:
    """Sparsity over square blocks, of a side that makes 16 of an image's (definitions §2)."""
    block = max(1, round(min(batch.x.shape[2:]) / 16))
    return {
        "group_gini": group_gini(batch.attribution, block=block),
        "quiet_groups": quiet_groups(batch.attribution, block=block),
    }


def held_out_row(batch: Batch, seed: int) -> Row:
    """Similarity of the maps under perturbations that no objective trains on."""
    copies = [getattr(held_out, name)(batch.x, ids=batch.ids, seed=seed) for name in HELD_OUT]
    perturbed = batch.perturbed(torch.stack(copies, 1))
    return {f"held_out_{name}": per_level(metric, batch.saliency, perturbed) for name, metric in COMPARED.items()}


def interpretation_row(batch: Batch, seed: int) -> Row:
    """What is left of the map after attacks on it that do not change the prediction (definitions §4.7).

    The attacks are made on the gradient; other attributions are looked at on the images that they find.
    """
    budget = budget_for(batch)
    row: Row = {}
    for name in ATTACKS:
        attacked = getattr(explanation, name)(batch.model, batch.x, batch.y, budget=budget, ids=batch.ids, seed=seed)
        clean, other = batch.saliency.abs(), batch.perturbed(attacked.images[:, None]).maps[:, 0].abs()
        row |= {
            f"{name}_intersection": top_k_intersection(clean, other, k=budget.k),
            f"{name}_spearman": spearman(clean, other),
            f"{name}_kendall": kendall(clean, other),
            f"{name}_shift": centre_shift(clean, other),
        }
    return row


def budget_for(batch: Batch) -> Budget:
    """The published budget of the data set that is nearest in kind, by channels and size of the images.

    The top-k set is a quarter of the pixels at most, which only images below 20 × 20 notice.
    """
    size = "cifar10" if max(batch.x.shape[2:]) <= 64 else "imagenette"
    budget = BUDGETS["fashion-mnist" if batch.x.shape[1] == 1 else size]
    return replace(budget, k=min(budget.k, max(1, batch.x[0, 0].numel() // 4)))


def alignment_row(batch: Batch, _: int) -> Row:
    """Agreement with where people look, or with the truth where it is known."""
    if batch.attention is None:
        raise BadInput(f"metric 'alignment' needs attention maps, which the runs' data do not have: {WAYS_TO_MAPS}")
    metrics = {name: getattr(alignment, name) for name in alignment.__all__}
    row = {name: metric(batch.saliency, batch.attention) for name, metric in metrics.items()}
    return row | {"precision_at_truth": precision_at_truth(batch.saliency, (batch.attention > 0.5).to(batch.saliency))}


def diffroad_row(batch: Batch, _: int) -> Row:
    """DiffROAD: kept most important against kept least important coordinates, without retraining."""
    levels, relevance = DIFFROAD_LEVELS, batch.attribution.abs()
    with torch.no_grad():
        return {"diffroad": diffroad(batch.model, batch.x, batch.y, relevance, levels=levels, fill=batch.mean_pixel)}


EVIDENCE = {
    "misalignment": Measurement(misalignment_row, MISALIGNMENT_DRAWS + 1),
    "curvature": Measurement(curvature_row),
    "groups": Measurement(groups_row),
    "held_out": Measurement(held_out_row, len(HELD_OUT)),
    "interpretation": Measurement(interpretation_row),
    "alignment": Measurement(alignment_row),
    "diffroad": Measurement(diffroad_row),
}
