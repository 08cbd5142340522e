"""Kendall's rank correlation of two maps."""

import torch
from scipy.stats import kendalltau
from torch import Tensor

from pellucid.metrics.stability.pairs import paired


def kendall(a: Tensor, b: Tensor) -> Tensor:
    """τ-b of the entries of two maps: concordant minus discordant pairs, corrected for ties (higher is more alike).

    On the CPU, O(d log d) per map.

    Parameters
    ----------
    a, b
        [B, …], any real values; only their order matters.

    Returns
    -------
    Tensor
        [B] float64 in [−1, 1]; NaN where a map is constant or has a NaN. Equals ``scipy.stats.kendalltau``.

    References
    ----------
    Kendall 1945, "The treatment of ties in ranking problems"; definitions §4.7.
    """
    a, b = paired(a, b)
    rows = zip(a.flatten(1).cpu().numpy(), b.flatten(1).cpu().numpy(), strict=True)
    # The exact p-value, which nobody reads, would take longer than τ itself.
    correlations = [float(kendalltau(one, other, method="asymptotic").statistic) for one, other in rows]
    return torch.tensor(correlations, dtype=torch.float64, device=a.device)
