"""Relative output stability (ROS): the relative change of the map over the change of the logits, at its worst."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.linalg import vector_norm

from pellucid.errors import BadInput


class Ros(NamedTuple):
    """ROS per image, and what it is made of.

    Attributes
    ----------
    value
        [B] float64, ≥ 0, lower is more stable; NaN where undefined.
    numerator, denominator
        [B] float64: those of the draw that attains `value`, so value = numerator / denominator. Look at both: a model
        with smaller logits has a larger ROS for the same maps (definitions §4.3).
    valid_draws
        [B] int64: how many draws count.
    """

    value: Tensor
    numerator: Tensor
    denominator: Tensor
    valid_draws: Tensor


def ros_quantus(e: Tensor, e_noisy: Tensor, z: Tensor, z_noisy: Tensor, same: Tensor) -> Ros:
    """ROS as T3S measured it with Quantus 0.5.3: element-wise relative change over absolute change (lower is stabler).

    max_s ‖(e − e_s) / (e + 1[e = 0]·1e-6)‖₂ / ‖z − z_s‖₂, with 1e-6 for a denominator of 0.

    Parameters
    ----------
    e, e_noisy
        Maps [B, …] of the images and [B, S, …] of their S noisy copies, for the same class.
    z, z_noisy
        Logits [B, K] and [B, S, K].
    same
        [B, S] bool: whether the draw left the predicted class as it was.

    Returns
    -------
    Ros
        NaN if ANY draw changed the prediction, whatever the others say. Entries of `e` near 0 dominate the numerator,
        which for maps with a positive density at 0 has no mean; it grows with the square root of the number of entries.

    References
    ----------
    T3S eq. 34 (there with max(·, ε_min) in the denominator); definitions §4.3, D-M5 to D-M8. Quantus computes in
    float32, here in float64.
    """
    e, e_noisy, z, z_noisy = _checked(e, e_noisy, z, z_noisy, same)
    numerator = vector_norm((e - e_noisy) / torch.where(e == 0, 1e-6, e), dim=2)
    denominator = vector_norm(z - z_noisy, dim=2)
    denominator = torch.where(denominator == 0, 1e-6, denominator)
    unflipped = same.all(1, keepdim=True).expand_as(same)
    return Ros(*_worst(numerator, denominator, unflipped), valid_draws=same.sum(1))


def ros_norm(e: Tensor, e_noisy: Tensor, z: Tensor, z_noisy: Tensor, same: Tensor) -> Ros:
    """ROS with norm-wise relative changes above and below, as its authors compute it (lower is stabler).

    max over the valid draws of (‖e − e_s‖₂ / ‖e‖₂) / (‖z − z_s‖₂ / ‖z‖₂). The scales of maps and logits do not matter.

    Parameters
    ----------
    e, e_noisy, z, z_noisy, same
        As in :func:`ros_quantus`.

    Returns
    -------
    Ros
        Draws that changed the prediction, or for which the ratio is undefined (the logits did not move at all, or
        vanish; the map is zero everywhere or not finite) are left out; NaN if none is left. As the largest of the valid
        draws it is larger with more of them: look at `valid_draws` when models differ in it.

    References
    ----------
    Agarwal et al. 2022, "Rethinking stability for attribution-based explanations", and OpenXAI; definitions §4.3.
    """
    e, e_noisy, z, z_noisy = _checked(e, e_noisy, z, z_noisy, same)
    numerator = vector_norm(e - e_noisy, dim=2) / vector_norm(e, dim=2)
    denominator = vector_norm(z - z_noisy, dim=2) / vector_norm(z, dim=2)
    valid = same & numerator.isfinite() & denominator.isfinite() & (denominator > 0)
    return Ros(*_worst(numerator, denominator, valid), valid_draws=valid.sum(1))


def _checked(e: Tensor, e_noisy: Tensor, z: Tensor, z_noisy: Tensor, same: Tensor) -> tuple[Tensor, ...]:
    """Maps [B, 1, d] and [B, S, d], logits [B, 1, K] and [B, S, K], all in float64."""
    draws = same.shape[1] if same.ndim == 2 else 0
    for clean, noisy, name in ((e, e_noisy, "maps"), (z, z_noisy, "logits")):
        if clean.ndim < 2 or draws == 0 or noisy.shape != (clean.shape[0], draws, *clean.shape[1:]):
            seen = f"{tuple(clean.shape)}, {tuple(noisy.shape)} and {tuple(same.shape)}"
            raise BadInput(f"ROS takes {name} [B, …], noisy ones [B, S, …] and same [B, S] with S ≥ 1; got {seen}")
    if same.dtype != torch.bool or same.shape[0] != e.shape[0] or z.shape[0] != e.shape[0]:
        raise BadInput(f"ROS takes as many logits as maps and a boolean same; got {len(e)}, {len(z)} and {same.dtype}")
    return e.flatten(1)[:, None].double(), e_noisy.flatten(2).double(), z[:, None].double(), z_noisy.double()


def _worst(numerator: Tensor, denominator: Tensor, valid: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Ratio, numerator and denominator [B] of the valid draw with the largest ratio; NaN if no draw is valid."""
    ratio = numerator / denominator
    draw = ratio.masked_fill(~valid, -torch.inf).argmax(1, keepdim=True)  # a NaN among the valid counts as the largest
    parts = (part.masked_fill(~valid, torch.nan).gather(1, draw).squeeze(1) for part in (ratio, numerator, denominator))
    value, above, below = parts
    return value, above, below
