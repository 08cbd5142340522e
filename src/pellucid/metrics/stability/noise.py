"""The noise under which relative output stability is measured, made from uniform numbers that the caller drew."""

from torch import Tensor

from pellucid.errors import BadInput


def one_sided_noise(uniform: Tensor, *, low: float = 0.02, high: float = 0.2, skip_first: bool = False) -> Tensor:
    """U[low, high]: the legacy noise, which brightens every pixel, by 0.11 on average.

    Parameters
    ----------
    uniform
        Independent numbers in [0, 1), [B, S, C, H, W], for S draws per image.
    low, high
        In the units of the model's input (T3S: normalised units).
    skip_first
        Leave the first entry of every image unperturbed, as Quantus 0.5.3 does by mistake; 0.6.0 does not.

    Returns
    -------
    Tensor
        Noise [B, S, C, H, W] to add to the images. Legacy does not clip the sum to [0, 1].

    References
    ----------
    Definitions §4.3, D-M5.
    """
    noise = low + (high - low) * _checked(uniform)
    if skip_first:
        noise[:, :, 0, 0, 0] = 0
    return noise


def symmetric_noise(uniform: Tensor, *, radius: float = 0.05) -> Tensor:
    """U[−radius, radius]: the clean noise, a ball around the image in pixel units.

    Parameters
    ----------
    uniform
        Independent numbers in [0, 1), [B, S, C, H, W], for S draws per image.

    Returns
    -------
    Tensor
        Noise [B, S, C, H, W] to add to the images.
    """
    return (2 * _checked(uniform) - 1) * radius


def _checked(uniform: Tensor) -> Tensor:
    if uniform.ndim != 5 or not bool(((uniform >= 0) & (uniform <= 1)).all()):
        raise BadInput(
            f"noise is made of numbers in [0, 1), [B, S, C, H, W]; got the shape {tuple(uniform.shape)}, "
            f"values from {uniform.min():.3g} to {uniform.max():.3g}"
        )
    return uniform
