"""Spearman's rank correlation of two maps."""

import torch
from torch import Tensor

from pellucid.metrics.stability.pairs import paired


def spearman(a: Tensor, b: Tensor) -> Tensor:
    """Rank correlation of the entries of two maps; ties get their average rank (higher is more alike).

    Parameters
    ----------
    a, b
        [B, …], any real values; only their order matters.

    Returns
    -------
    Tensor
        [B] float64 in [−1, 1]; NaN where a map is constant or has a NaN. Equals ``scipy.stats.spearmanr``.

    References
    ----------
    Adebayo et al. 2018, "Sanity checks for saliency maps"; definitions §4.2.
    """
    a, b = paired(a, b)
    ranks_a, ranks_b = _centred_ranks(a.flatten(1)), _centred_ranks(b.flatten(1))
    covariance = (ranks_a * ranks_b).sum(1)
    return covariance / ((ranks_a**2).sum(1) * (ranks_b**2).sum(1)).sqrt()  # 0/0 = NaN for a constant map


def _centred_ranks(rows: Tensor) -> Tensor:
    """Average ranks [B, d] minus their mean: an entry stands midway between those below and those up to it."""
    ascending = rows.sort(1).values
    below = torch.searchsorted(ascending, rows)
    up_to = torch.searchsorted(ascending, rows, right=True)
    ranks = (below + up_to - rows.shape[1]).double() / 2
    return torch.where(rows.isnan().any(1, keepdim=True), torch.nan, ranks)
