"""LIME: a sparse linear model of the logit over square blocks of pixels that are switched off at random."""

from torch import nn

from pellucid.attributions.blocks import regression_on_blocks
from pellucid.attributions.reduction import reduces
from pellucid.naming import Count
from pellucid.types import Attribution, Image, Labels


@reduces("signed")
def lime(
    model: nn.Module, x: Image, target: Labels, *, block: Count = 4, samples: Count = 200, seed: int = 0
) -> Attribution:
    """Weight of each block in a Lasso fit (Captum's default, α = 0.01) to z_target. Needs the captum extra.

    Parameters
    ----------
    model, x, target
        As in :func:`~pellucid.attributions.gradient`. Cost: `samples` forward passes an image.
    block
        Side of the blocks in pixels; the method's superpixels, without a segmentation. Off means black.
    samples
        Images with random blocks off.
    seed
        Of the draws; an image gets the same ones in any batch.

    Returns
    -------
    Attribution
        [B, C, H, W], signed, in logits a block, the same for all entries of a block; 0 where the Lasso drops it. It
        has no graph: it cannot be trained on.

    Raises
    ------
    BadInput
        If Captum is missing.

    References
    ----------
    Ribeiro et al. 2016, "Why should I trust you?": explaining the predictions of any classifier.
    """
    return regression_on_blocks(model, x, target, method="Lime", block=block, samples=samples, seed=seed)
