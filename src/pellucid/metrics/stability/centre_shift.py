"""How far the centre of mass of a map moves."""

import torch
from torch import Tensor
from torch.linalg import vector_norm

from pellucid.attacks.explanation_maps import mass_centre_of, varies
from pellucid.errors import BadInput
from pellucid.metrics.stability.pairs import paired
from pellucid.types import Saliency


def centre_shift(a: Saliency, b: Saliency) -> Tensor:
    """Distance ‖C - C'‖₂ of the centres of mass C = Σ S·(row, column) / Σ S of two maps (lower is more alike).

    The centres are real numbers; the published code truncates them to whole pixels.

    Parameters
    ----------
    a, b
        [B, 1, H, W], non-negative; the scale of either does not matter.

    Returns
    -------
    Tensor
        [B] float64, in pixels; NaN where a map is constant, not finite, or has a negative entry and so no mass.

    References
    ----------
    Ghorbani et al. 2019, "Interpretation of neural networks is fragile"; definitions §4.7.
    """
    a, b = paired(a, b)
    if a.ndim != 4 or a.shape[1] != 1:
        raise BadInput(f"a centre of mass is that of a saliency map [B, 1, H, W]; got {tuple(a.shape)}")
    shift: Tensor = vector_norm(_centre(a) - _centre(b), dim=1)
    return shift


def _centre(maps: Saliency) -> Tensor:
    """[B, 2], NaN without a centre. Dividing by the maximum first keeps sums of huge entries finite."""
    peak = maps.amax((1, 2, 3), keepdim=True)
    has_mass = varies(maps) & (maps >= 0).flatten(1).all(1)
    return torch.where(has_mass[:, None], mass_centre_of(maps / peak), torch.nan)
