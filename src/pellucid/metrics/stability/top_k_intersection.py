"""How much of the most salient part of a map survives."""

from torch import Tensor

from pellucid.attacks.explanation_maps import overlap
from pellucid.metrics.stability.pairs import paired
from pellucid.naming import Count


def top_k_intersection(a: Tensor, b: Tensor, *, k: Count) -> Tensor:
    """Share |T ∩ T'| / k of the k largest entries of one map that are among the k largest of the other (higher is more
    alike).

    Independent maps of d entries share k / d of them on average. Of equal entries the first ones, row by row, count as
    larger.

    Parameters
    ----------
    a, b
        [B, …], any real values; only their order matters.
    k
        Number of entries, at most d.

    Returns
    -------
    Tensor
        [B] float64 in [0, 1]; NaN where a map is constant or not finite.

    Raises
    ------
    BadInput
        If the shapes differ or k lies outside of 1 … d.

    References
    ----------
    Ghorbani et al. 2019, "Interpretation of neural networks is fragile"; definitions §4.7.
    """
    a, b = paired(a, b)
    return overlap(a, b, k)
