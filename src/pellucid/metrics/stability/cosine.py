"""Cosine similarity of two maps."""

from torch import Tensor
from torch.linalg import vector_norm

from pellucid.metrics.stability.pairs import paired


def cosine(a: Tensor, b: Tensor) -> Tensor:
    """Cosine of the angle between two maps as vectors (higher is more alike).

    Parameters
    ----------
    a, b
        [B, …], any real values; the scale of either does not matter.

    Returns
    -------
    Tensor
        [B] float64 in [−1, 1]; NaN where a map is zero everywhere or not finite.

    References
    ----------
    Definitions §4.2.
    """
    a, b = (_unit(maps.flatten(1)) for maps in paired(a, b))
    return (a * b).sum(1).clamp(-1, 1)


def _unit(rows: Tensor) -> Tensor:
    """Rows of length 1. Dividing by the maximum first keeps the squares of tiny entries from vanishing."""
    rows = rows / rows.abs().amax(1, keepdim=True)  # 0/0 = NaN for a map of zeros
    length: Tensor = vector_norm(rows, dim=1, keepdim=True)
    return rows / length
