"""What the comparisons of two maps have in common."""

from torch import Tensor

from pellucid.errors import BadInput


def paired(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Both batches of maps in float64; refuses two different shapes, which would broadcast in silence."""
    if a.shape != b.shape or a.ndim < 2:
        raise BadInput(f"two batches of maps of one shape [B, …] are compared; got {tuple(a.shape)}, {tuple(b.shape)}")
    return a.double(), b.double()


def against(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Maps [B, 1, …] of `a` [B, …] and [B, S, …] of `b`, which is [B, …] (S = 1) or [B, S, …]: S for each of `a`.

    What is needed of the map of `a` is then computed once, and broadcasts over those it is compared with.
    """
    others = b if b.ndim == a.ndim + 1 else b[:, None]
    if a.ndim < 2 or others.shape[:1] + others.shape[2:] != a.shape:
        raise BadInput(
            "two batches of maps of one shape [B, …] are compared, or [B, …] with S maps for each, [B, S, …]; "
            f"got {tuple(a.shape)}, {tuple(b.shape)}"
        )
    return a[:, None], others


def as_given(values: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Values [B, S] as they are where `b` holds S maps for each of `a`, [B] where it holds one."""
    return values if b.ndim == a.ndim + 1 else values[:, 0]
