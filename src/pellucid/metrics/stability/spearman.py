"""Spearman's rank correlation of two maps."""

import torch
from torch import Tensor
from torch.nn.functional import pad

from pellucid.metrics.sorting import ascending_places
from pellucid.metrics.stability.pairs import against, as_given


def spearman(a: Tensor, b: Tensor) -> Tensor:
    """Rank correlation of the entries of two maps; ties get their average rank (higher is more alike).

    Parameters
    ----------
    a, b
        [B, …], any real values; only their order matters. `b` may hold S maps for each of `a`, [B, S, …].

    Returns
    -------
    Tensor
        [B] (or [B, S]) float64 in [−1, 1]; NaN where a map is constant or has a NaN. Equals ``scipy.stats.spearmanr``.

    References
    ----------
    Adebayo et al. 2018, "Sanity checks for saliency maps"; definitions §4.2.
    """
    one, others = (_centred_ranks(maps.flatten(2)) for maps in against(a, b))
    covariance = (one * others).sum(2)
    # 0/0 = NaN for a constant map
    return as_given(covariance / ((one**2).sum(2) * (others**2).sum(2)).sqrt(), a, b)


def _centred_ranks(maps: Tensor) -> Tensor:
    """Average ranks [B, S, d] minus their mean, NaN in maps that hold one: equal entries share their middle place.

    One sort and two running extrema: three times as fast as searching every entry in the sorted row.
    """
    rows, d = maps.flatten(0, 1), maps.shape[2]
    order = ascending_places(rows)
    ascending = rows.gather(1, order)
    place = torch.arange(d, device=rows.device).expand_as(order)
    changes = ascending[:, 1:] != ascending[:, :-1]
    first = torch.where(pad(changes, (1, 0), value=True), place, 0).cummax(1).values
    last = torch.where(pad(changes, (0, 1), value=True), place, d).flip(1).cummin(1).values.flip(1)
    ranks = torch.empty_like(rows, dtype=torch.float64).scatter_(1, order, (first + last + 1 - d).double() / 2)
    return torch.where(rows.isnan().any(1, keepdim=True), torch.nan, ranks).view(maps.shape)
