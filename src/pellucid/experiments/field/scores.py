"""Numbers for each network of the 2-D study (definitions §3.1): one a seed, float64, NaN where undefined.

Points where the gradient is shorter than 1e-10 have no direction: they are left out of every mean over directions, and
their share is a number of its own. The claims behind the numbers are our reading of the abstract of Train2Explain.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from pellucid.data.points import Points
from pellucid.experiments.field.networks import Networks, field, logits
from pellucid.experiments.field.problems import Problem, stacked

SHORTEST = 1e-10
SHIFT = 0.05
"""Distance h between the two ends of a difference of directions, in standardised units."""
NEAR = 0.3
"""Radius around outliers, in standardised units."""
TWIN_POINTS = 1000
"""Test points at which twin networks are compared."""

Scores = dict[str, Tensor]


@torch.no_grad()
def score(networks: Networks, problem: Problem, train: Sequence[Points]) -> Scores:
    """Every number that needs one network only, by name, each [S].

    accuracy, train_accuracy (of the labels that were trained on), gap (their difference), memorisation (share of the
    corrupted training points predicted as they are labelled; NaN without any), roughness and total_variation (see
    :func:`smoothness`), and those of :func:`stability`, :func:`alignment`.
    """
    predicted = logits(networks, problem.x).argmax(2)
    on_train = logits(networks, stacked([points.x for points in train]).float()).argmax(2)
    learnt = on_train == stacked([points.y for points in train])
    accuracy, train_accuracy = _share(predicted == problem.y), _share(learnt)
    return {
        "accuracy": accuracy,
        "train_accuracy": train_accuracy,
        "gap": train_accuracy - accuracy,
        "memorisation": _mean(learnt.double(), stacked([points.corrupted for points in train])),
        **smoothness(networks, problem),
        **stability(networks, problem),
        **alignment(networks, problem),
    }


def smoothness(networks: Networks, problem: Problem) -> Scores:
    """Means over the grid points p in the data's hull and both axes j, with ĝ = g/‖g‖ and h = .05.

    roughness: 1 - ⟨ĝ(p), ĝ(p + h·e_j)⟩ in [0, 2]; total_variation: ‖ĝ(p + h·e_j) - ĝ(p)‖ / h. Lower is smoother.
    """
    grid = problem.grid.expand(len(problem.seeds), -1, -1)
    z, here = _field(networks, grid)
    target = z.argmax(2)
    cosines = []
    for axis in range(2):
        moved = grid + SHIFT * torch.eye(2)[axis]
        cosines.append(_cosine(here, _field(networks, moved, target)[1]))
    both, inside = torch.stack(cosines, 1), problem.inside[:, None].expand(-1, 2, -1)
    rough = 1 - both
    return {
        "roughness": _mean(rough, inside),
        "total_variation": _mean((2 * rough).clamp_min(0).sqrt() / SHIFT, inside),
        "directionless_grid": _mean((here.norm(dim=2) < SHORTEST).double(), problem.inside),
    }


def stability(networks: Networks, problem: Problem) -> Scores:
    """Direction of the gradient under moves that were not trained on, where the prediction stays the same.

    cosine, spearman: means over points and uniform moves in ±.3 of the cosine, and of the rank correlation, which for
    the two entries of a plane gradient is 1 or -1; worst_cosine: mean over points of the least cosine of 32 moves;
    kept_prediction: share of moves that count. Higher is more stable. misalignment: MA-1 with σ = .1, 16 draws, on
    other draws than in training; lower is better aligned.
    """
    points = problem.offsets.shape[2]
    x = problem.x[:, :points]
    z, here = _field(networks, x)
    same, cosines, ranks = _moved(networks, x, z, here, problem.offsets)
    counted = same & cosines.isfinite()
    worst = torch.where(counted, cosines, torch.inf).amin(1)
    _, under_noise, _ = _moved(networks, x, z, here, problem.noise)
    return {
        "cosine": _mean(cosines, counted),
        "spearman": _mean(ranks, counted & ranks.isfinite()),
        "worst_cosine": _mean(worst, worst.isfinite()),
        "kept_prediction": _share(same.flatten(1)),
        "misalignment": _mean((1 - under_noise) / 2),
    }


def alignment(networks: Networks, problem: Problem) -> Scores:
    """Against the gradient of the Bayes log-odds of the same classes, on the test points; NaN without a closed form.

    bayes_cosine: mean cosine, higher is better. dispersion: 1 - ‖mean ĝ‖ in [0, 1], 0 for a field of one direction;
    bayes_dispersion: the same of the Bayes gradient; dispersion_ratio: their quotient. directionless: share of test
    points without a direction.
    """
    z, g = _field(networks, problem.x)
    short = _share(g.norm(dim=2) < SHORTEST)
    scores = {"directionless": short, "dispersion": _dispersion(g)}
    if problem.bayes is None:
        undefined = torch.full_like(short, torch.nan)
        return scores | dict.fromkeys(("bayes_cosine", "bayes_dispersion", "dispersion_ratio"), undefined)
    bayes = _of_class(problem.bayes, z.argmax(2))
    reference = _dispersion(bayes)
    return scores | {
        "bayes_cosine": _mean(_cosine(g, bayes)),
        "bayes_dispersion": reference,
        "dispersion_ratio": scores["dispersion"] / reference,
    }


@torch.no_grad()
def twin_fields(networks: Networks, problem: Problem, target: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Classes [S, M'] and fields [S, M', 2] at the first test points, for comparison with a twin of the same start."""
    z, g = field(networks, problem.x[:, :TWIN_POINTS], target)
    return (z.argmax(2) if target is None else target), g


def outlier_dependence(with_outliers: Tensor, without: Tensor, problem: Problem, train: Sequence[Points]) -> Scores:
    """½·(1 - cos) of the fields of twins trained with and without outliers, means over clean test points [S].

    dependence: over all; dependence_near: within .3 of a corrupted training point; dependence_elsewhere: the others.
    0 = the outliers change nothing, 1 = every gradient is turned round. Fields [S, M', 2] from :func:`twin_fields`.
    """
    turned = (1 - _cosine(with_outliers, without)) / 2
    near = stacked(
        [
            (torch.cdist(x.double(), points.x[points.corrupted]) <= NEAR).any(1)
            for x, points in zip(problem.x[:, : turned.shape[1]], train, strict=True)
        ]
    )
    return {
        "dependence": _mean(turned),
        "dependence_near": _mean(turned, near),
        "dependence_elsewhere": _mean(turned, ~near),
    }


def as_lists(scores: Mapping[str, Tensor]) -> dict[str, list[float]]:
    """The numbers as plain lists, one entry a seed."""
    return {name: [float(value) for value in values] for name, values in scores.items()}


def _moved(networks: Networks, x: Tensor, z: Tensor, here: Tensor, moves: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """For every move [S, D, P, 2]: whether the prediction stays, the cosine and the rank correlation [S, D, P]."""
    target = z.argmax(2)[:, None].expand(moves.shape[:3])
    there_z, there = _field(networks, (x[:, None] + moves).flatten(1, 2), target.flatten(1))
    there = there.unflatten(1, moves.shape[1:3])
    same = there_z.argmax(2).unflatten(1, moves.shape[1:3]) == target
    before = here[:, None].expand_as(there)
    ranks = (before[..., 0] - before[..., 1]).sign() * (there[..., 0] - there[..., 1]).sign()
    return same, _cosine(before, there), torch.where(ranks == 0, torch.nan, ranks)


def _field(networks: Networks, x: Tensor, target: Tensor | None = None) -> tuple[Tensor, Tensor]:
    z, g = field(networks, x, target)
    return z, g.double()


def _of_class(slopes: Tensor, target: Tensor) -> Tensor:
    """What :func:`pellucid.experiments.field.networks.field` makes of the gradients of all classes [S, M, K, 2]."""
    if slopes.shape[2] == 2:
        return slopes[:, :, 1] - slopes[:, :, 0]
    centred = slopes - slopes.mean(2, keepdim=True)
    return centred.gather(2, target[:, :, None, None].expand(-1, -1, 1, 2)).squeeze(2)


def _cosine(first: Tensor, second: Tensor) -> Tensor:
    """Cosine along the last axis, NaN where one of the two has no direction."""
    a, b = first.double(), second.double()
    lengths = a.norm(dim=-1), b.norm(dim=-1)
    short = (lengths[0] < SHORTEST) | (lengths[1] < SHORTEST)
    cosine: Tensor = (a * b).sum(-1) / (lengths[0] * lengths[1])
    return cosine.clamp(-1, 1).masked_fill(short, torch.nan)


def _dispersion(g: Tensor) -> Tensor:
    unit = torch.nn.functional.normalize(g, dim=2).masked_fill(g.norm(dim=2, keepdim=True) < SHORTEST, torch.nan)
    mean_length: Tensor = torch.linalg.vector_norm(unit.nanmean(1), dim=1)
    return 1 - mean_length


def _share(kept: Tensor) -> Tensor:
    return kept.double().mean(1)


def _mean(values: Tensor, counted: Tensor | None = None) -> Tensor:
    """Mean of all but the first axis over the entries that count and are not NaN, [S]; NaN without any."""
    kept = values if counted is None else torch.where(counted, values, torch.nan)
    return kept.flatten(1).nanmean(1)
