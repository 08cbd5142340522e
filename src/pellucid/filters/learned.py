"""A smoothing kernel that training chooses: the "learned smoothing modules" that T3S leaves open (§7)."""

from torch import Tensor
from torch.nn.functional import conv2d, pad

from pellucid.errors import BadInput
from pellucid.filters.checks import check_maps


def learned(x: Tensor, *, kernel: Tensor) -> Tensor:
    """Average each pixel with its neighbours under weights of the channel's own, which a softmax keeps an average.

    Weights ≥ 0 that sum to 1 make it a smoothing filter whatever is learned: constant maps do not change, and no value
    leaves the range of the window. A `kernel` of zeros is the mean filter, which T3S's Gaussian nearly is.

    Parameters
    ----------
    x
        Maps [B, C, H, W], any floating point type, any range. The border is replicated.
    kernel
        Logits of the weights, [C, k, k] with k odd. :class:`~pellucid.models.smoothing.SmoothBlock` holds them as a
        parameter of 3×3.

    Returns
    -------
    Tensor
        [B, C, H, W] in the units of `x`; differentiable any number of times, in `x` and in `kernel`.

    Raises
    ------
    BadInput
        If `kernel` is not [C, k, k] with k odd.
    """
    check_maps(x)
    if kernel.ndim != 3 or len(kernel) != x.shape[1] or kernel.shape[1] != kernel.shape[2] or not kernel.shape[1] % 2:
        raise BadInput(
            f"a learned kernel must be [C, k, k] with k odd and the maps' {x.shape[1]} channels; "
            f"got {tuple(kernel.shape)}"
        )
    weights = kernel.flatten(1).softmax(1).view_as(kernel)[:, None]
    margin = kernel.shape[1] // 2
    padded = pad(x, (margin,) * 4, mode="replicate")
    return conv2d(padded, weights.to(x.dtype), groups=x.shape[1])
