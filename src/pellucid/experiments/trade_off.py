"""How readable a model's maps are, in one number, while it trains: what the choice "trade_off" goes by."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from pellucid.attributions.gradient import gradient
from pellucid.attributions.reduction import saliency_map
from pellucid.data.dataset import Dataset
from pellucid.metrics.sparsity.gini import gini
from pellucid.metrics.stability.ssim import ssim_clean
from pellucid.modes import mode
from pellucid.randomness import normal_per_image
from pellucid.training.step import to_device
from pellucid.types import Image

IMAGES, NOISE = 256, 0.1
"""The first validation images, and the standard deviation of the noise in pixel units."""
AT_ONCE = 64


def map_measure(seed: int) -> Callable[[nn.Module, Dataset], dict[str, float]]:
    """:func:`map_quality` with the noise of that seed, for :class:`pellucid.training.validate.Validation`."""
    return partial(map_quality, seed=seed)


def map_quality(model: nn.Module, dataset: Dataset, *, seed: int) -> dict[str, float]:
    """How stable and how sparse the gradient maps of the first 256 images are (all higher is better).

    The map is Σ_c |∂z_ŷ/∂x| of the class ŷ that the model predicts for the clean image. The images are the same for
    every model, whether classified correctly or not, so that no model gains by the choice of images.

    Returns
    -------
    dict
        ``map_ssim``: mean clean SSIM of the map and the map under Gaussian noise of σ = 0.1, clamped to [0, 1], for the
        same class. ``map_gini``: mean Gini index. A map of zeros counts as 0 in both. ``map_score``: mean of the two.
    """
    found = []
    with mode(model, training=False):
        for positions in torch.arange(min(IMAGES, len(dataset))).split(AT_ONCE):
            x, _ = to_device(dataset.batch(positions), model)
            found.append(_per_image(model, x, dataset.ids[positions].tolist(), seed))
    ssim, sparsity = torch.cat(found, 1).nan_to_num(nan=0.0).mean(1).tolist()
    return {"map_ssim": ssim, "map_gini": sparsity, "map_score": (ssim + sparsity) / 2}


def _per_image(model: nn.Module, x: Image, ids: list[int], seed: int) -> Tensor:
    """[2, B]: SSIM and Gini of every image."""
    with torch.no_grad():
        predicted = model(x).argmax(1)
    noise = normal_per_image(ids, x.shape[1:], seed=seed, stream="trade-off").to(x)
    clean, noisy = (
        saliency_map(gradient(model, pixels, predicted), "absolute") for pixels in (x, (x + NOISE * noise).clamp(0, 1))
    )
    return torch.stack([ssim_clean(clean, noisy), gini(clean)]).cpu()
