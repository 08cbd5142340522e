"""Cosine similarity of two maps."""

from torch import Tensor
from torch.linalg import vector_norm

from pellucid.metrics.stability.pairs import against, as_given


def cosine(a: Tensor, b: Tensor) -> Tensor:
    """Cosine of the angle between two maps as vectors (higher is more alike).

    Parameters
    ----------
    a, b
        [B, …], any real values; the scale of either does not matter. `b` may hold S maps for each of `a`, [B, S, …].

    Returns
    -------
    Tensor
        [B] (or [B, S]) float64 in [−1, 1]; NaN where a map is zero everywhere or not finite.

    References
    ----------
    Definitions §4.2.
    """
    one, others = (_unit(maps.flatten(2).double()) for maps in against(a, b))
    return as_given((one * others).sum(2).clamp(-1, 1), a, b)


def _unit(rows: Tensor) -> Tensor:
    """Rows of length 1. Dividing by the maximum first keeps the squares of tiny entries from vanishing."""
    rows = rows / rows.abs().amax(2, keepdim=True)  # 0/0 = NaN for a map of zeros
    length: Tensor = vector_norm(rows, dim=2, keepdim=True)
    return rows / length
