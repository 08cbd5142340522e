"""The filter that does nothing: a control."""

from torch import Tensor

from pellucid.filters.checks import check_maps


def identity(x: Tensor) -> Tensor:
    """Return the maps [B, C, H, W] unchanged.

    A SmoothBlock with this filter is x + conv1x1(x): it has the parameters of a smoothing block without the smoothing,
    so it tells the two apart (a mandatory control, definitions §1.1).

    Raises
    ------
    BadInput
        If `x` holds no floating point maps.
    """
    check_maps(x)
    return x
