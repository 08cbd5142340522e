"""What every filter refuses: tensors that are no feature maps, and windows without a middle."""

from torch import Tensor

from pellucid.errors import BadInput


def check_maps(x: Tensor) -> None:
    """Raise BadInput unless `x` holds floating point maps [B, C, H, W]."""
    if x.ndim != 4 or not x.is_floating_point():
        raise BadInput(f"a filter needs floating point maps [B, C, H, W]; got {x.dtype} of shape {tuple(x.shape)}")


def check_size(size: int) -> None:
    """Raise BadInput unless `size` is an odd whole number of pixels."""
    if not isinstance(size, int) or size < 1 or size % 2 == 0:
        raise BadInput(f"a filter's size must be an odd whole number, so that its window has a middle; got {size!r}")
