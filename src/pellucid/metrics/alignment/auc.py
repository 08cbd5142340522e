"""AUC: how well the size of a saliency map tells attended pixels from the others."""

import torch
from torch import Tensor

from pellucid.metrics.alignment.maps import ATTENDED, sizes_and_attention
from pellucid.types import Saliency


def auc(saliency: Saliency, attention: Tensor) -> Tensor:
    """Area under the ROC curve of |a| as detector of the pixels with m > 0.5 (higher is better aligned).

    The probability that |a| is larger on a random attended pixel than on a random other one, ties counting half; by
    average ranks, so exact.

    Parameters
    ----------
    saliency
        [B, 1, H, W], signed or not; only the order of its absolute values matters.
    attention
        m [B, 1, H, W] in [0, 1].

    Returns
    -------
    Tensor
        [B] float64 in [0, 1]; 0.5 is chance. NaN where no pixel or every pixel is attended, or where the saliency map
        is zero everywhere or not finite. Equals scikit-learn's ``roc_auc_score``.

    References
    ----------
    Definitions §2.2; Judd et al. 2012, "A benchmark of computational models of saliency".
    """
    sizes, weights = sizes_and_attention(saliency, attention)
    inside = weights > ATTENDED
    ascending = sizes.sort(1).values
    below = torch.searchsorted(ascending, sizes)
    up_to = torch.searchsorted(ascending, sizes, right=True)
    ranks = (below + up_to + 1).double() / 2
    n = inside.sum(1)
    pairs_won = (ranks * inside).sum(1) - n * (n + 1) / 2
    area = pairs_won / (n * (inside.shape[1] - n))  # 0/0 = NaN for an empty or a full mask
    return torch.where(sizes[:, 0].isnan(), torch.nan, area)
