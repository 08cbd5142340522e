"""The Gini index of a saliency map: how unequally the attention is spread over the pixels."""

import torch
from torch import Tensor

from pellucid.errors import BadInput
from pellucid.metrics.sorting import ascending


def gini(maps: Tensor) -> Tensor:
    """Gini index of the absolute values of each map (higher is sparser).

    G = 1 − 2 Σ_k (v_(k) / ‖v‖₁) (d − k + ½)/d = Σ_k (2k − d − 1) v_(k) / (d Σ v), with v = |a| sorted ascending.
    Each map is first divided by its own maximum, so that its scale does not matter, however small.

    Parameters
    ----------
    maps
        [B, …]: the d entries of each map, signed or not. Pass the saliency map [B, 1, H, W] for the index of T3S, the
        attribution [B, C, H, W] for that of Chalasani et al.; for several channels they differ.

    Returns
    -------
    Tensor
        [B] float64, in [0, 1 − 1/d]. A constant map and a map of zeros give 0; a map that is not finite gives NaN.

    References
    ----------
    T3S eq. 33; Chalasani et al. 2020, "Concise explanations of neural networks using adversarial training";
    definitions §4.1. Eq. 33 leaves the map of zeros undefined.
    """
    sizes = _rows(maps).abs()
    largest = sizes.amax(1, keepdim=True)
    return _index(sizes / torch.where(largest == 0, 1.0, largest))


def gini_legacy(maps: Tensor) -> Tensor:
    """Gini index as T3S measured it with Quantus 0.5.3 ``Sparseness(abs=True, normalise=True)`` (higher is sparser).

    Differs from :func:`gini` in that the whole batch is divided by its one maximum and 1e-7 is then added to every
    entry: a map much smaller than its batch mates loses index, so the values depend on the loader's batches
    (definitions §4.1, D-M3).

    Parameters
    ----------
    maps
        [B, …]: the maps of one whole loader batch. The division is made in their own precision, the rest in float64.

    Returns
    -------
    Tensor
        [B] float64. A map of zeros gives 0.
    """
    largest = maps.abs().amax() if maps.numel() else maps.new_ones(())
    scaled = maps if largest == 0 else maps / largest
    return _index(_rows(scaled).abs() + 1e-7)


def _rows(maps: Tensor) -> Tensor:
    """[B, …] → [B, d] in float64."""
    if maps.ndim < 2 or maps.shape[1:].numel() == 0:
        raise BadInput(f"maps must have the shape [B, …] with at least one entry each; got {tuple(maps.shape)}")
    return maps.flatten(1).double()


def _index(sizes: Tensor) -> Tensor:
    ordered = ascending(sizes)
    d = sizes.shape[1]
    rank = torch.arange(1, d + 1, dtype=sizes.dtype, device=sizes.device)
    total = ordered.sum(1)
    return ((2 * rank - d - 1) * ordered).sum(1) / (d * torch.where(total == 0, 1.0, total))
