"""What the comparisons of two maps have in common."""

from torch import Tensor

from pellucid.errors import BadInput


def paired(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Both batches of maps in float64; refuses two different shapes, which would broadcast in silence."""
    if a.shape != b.shape or a.ndim < 2:
        raise BadInput(f"two batches of maps of one shape [B, …] are compared; got {tuple(a.shape)}, {tuple(b.shape)}")
    return a.double(), b.double()
