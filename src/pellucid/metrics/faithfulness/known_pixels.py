"""Agreement with known relevant pixels, for synthetic images of which it is known where the class is to be seen."""

import torch
from torch import Tensor

from pellucid.errors import BadInput
from pellucid.types import Saliency


def precision_at_truth(saliency: Saliency, truth: Tensor) -> Tensor:
    """Share of relevant pixels among the n most salient ones, n being the number of relevant pixels (higher is better).

    At this n precision and recall are the same number. Chance is n / HW.

    Parameters
    ----------
    saliency
        [B, 1, H, W]; absolute values are ranked, so neither sign nor scale matter. Where values tie, every choice among
        the tied pixels counts the same: the result is the expected share.
    truth
        [B, 1, H, W]: relevant where not zero, as `attention` of :func:`pellucid.data.block_fashion`.

    Returns
    -------
    Tensor
        [B] float64 in [0, 1]; NaN for a map that is zero everywhere or not finite, and where no pixel is relevant.

    Raises
    ------
    BadInput
        If the two are not of one shape [B, 1, H, W].
    """
    if saliency.shape != truth.shape or saliency.ndim != 4 or saliency.shape[1] != 1:
        shapes = f"{tuple(saliency.shape)} and {tuple(truth.shape)}"
        raise BadInput(f"saliency and truth must be [B, 1, H, W] of one shape; got {shapes}")
    sizes, relevant = saliency.flatten(1).double().abs(), truth.flatten(1) != 0
    count = relevant.sum(1, keepdim=True)
    last = sizes.sort(1, descending=True).values.gather(1, (count - 1).clamp_min(0))
    above, tied = sizes > last, sizes == last
    places = (count - above.sum(1, keepdim=True)).double()
    weight = above + tied * places / tied.sum(1, keepdim=True)
    share = (weight * relevant).sum(1) / count[:, 0]  # 0/0 = NaN where no pixel is relevant
    defined = (sizes.isfinite().all(1)) & (sizes > 0).any(1)
    return torch.where(defined, share, float("nan"))
