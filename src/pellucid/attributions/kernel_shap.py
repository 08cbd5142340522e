"""KernelSHAP: Shapley values of square blocks of pixels, by a weighted regression over random coalitions."""

from torch import nn

from pellucid.attributions.blocks import regression_on_blocks
from pellucid.attributions.reduction import reduces
from pellucid.naming import Count
from pellucid.types import Attribution, Image, Labels


@reduces("signed")
def kernel_shap(
    model: nn.Module, x: Image, target: Labels, *, block: Count = 4, samples: Count = 200, seed: int = 0
) -> Attribution:
    """Estimated share of each block in z_target(x) - z_target(black). Needs the captum extra.

    Parameters
    ----------
    model, x, target
        As in :func:`~pellucid.attributions.gradient`. Cost: `samples` forward passes an image.
    block
        Side of the blocks in pixels. Off means black.
    samples
        Coalitions; fewer than blocks leave the regression without a unique solution.
    seed
        Of the draws; an image gets the same ones in any batch.

    Returns
    -------
    Attribution
        [B, C, H, W], signed, in logits a block, the same for all entries of a block. It has no graph: it cannot be
        trained on.

    Raises
    ------
    BadInput
        If Captum is missing.

    References
    ----------
    Lundberg and Lee 2017, "A unified approach to interpreting model predictions".
    """
    return regression_on_blocks(model, x, target, method="KernelShap", block=block, samples=samples, seed=seed)
