"""Normalisation as the first layer, so that images, ε and saliency maps all stay in pixel units."""

import math
from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pellucid.errors import BadInput
from pellucid.types import Image

Statistics = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and standard deviation, one number per channel each, in pixel units."""


class Normalise(nn.Module):
    """(x - mean) / std per channel, with `mean` and `std` kept as buffers [1, C, 1, 1]."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        if not mean or len(mean) != len(std):
            raise BadInput(f"normalisation needs one mean and one std per channel; got {len(mean)} and {len(std)}")
        if not all(math.isfinite(number) for number in (*mean, *std)) or min(std) <= 0:
            raise BadInput(f"normalisation needs finite means and positive stds; got mean {mean} and std {std}")
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.get_default_dtype()).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std, dtype=torch.get_default_dtype()).view(1, -1, 1, 1))

    def forward(self, x: Image) -> Tensor:
        """Images [B, C, H, W] in [0, 1] to what the network was trained on; BadInput for another number of channels."""
        if x.shape[1] != self.mean.shape[1]:  # would otherwise broadcast silently
            raise BadInput(f"the model normalises {self.mean.shape[1]} channels; the images have {x.shape[1]}")
        return (x - self.mean) / self.std

    def extra_repr(self) -> str:
        """The numbers, in the printed model."""
        return f"mean={self.mean.flatten().tolist()}, std={self.std.flatten().tolist()}"


def own_normalisation(network: nn.Module) -> Statistics:
    """Mean and standard deviation per channel that the network's published weights were trained with.

    An adapter leaves them in the attribute ``own_normalisation``, or there the reason why they cannot be used.

    Raises
    ------
    BadInput
        If the network says nothing, or what it says is no normalisation of pixels in [0, 1].
    """
    own = getattr(network, "own_normalisation", None)
    if own is None:
        raise BadInput(
            "the model says nothing of a normalisation of its own; write normalise: data, none, or mean and std"
        )
    if isinstance(own, str):
        raise BadInput(own)
    mean, std = own
    return tuple(mean), tuple(std)


def fitted(statistics: tuple[Sequence[float], Sequence[float]], channels: int) -> Statistics:
    """The normalisation for images of `channels` channels: for grey ones the mean over the colours, and back.

    Raises
    ------
    BadInput
        If neither it nor the images are grey.
    """
    mean, std = (tuple(float(number) for number in numbers) for numbers in statistics)
    if len(mean) == channels:
        return mean, std
    if channels == 1:
        return (sum(mean) / len(mean),), (sum(std) / len(std),)
    if len(mean) == 1:
        return mean * channels, std * channels
    raise BadInput(
        f"the model's normalisation has {len(mean)} channels, the images have {channels}; write normalise: data, or "
        "mean and std per channel"
    )


def normalised(network: nn.Module, mean: Sequence[float], std: Sequence[float]) -> nn.Sequential:
    """The model that takes pixels in [0, 1]: `normalise`, then `network` (not copied).

    Parameters
    ----------
    network
        Takes normalised images [B, C, H, W].
    mean, std
        One number per channel, in pixel units (of [0, 1], not of 0 … 255).

    Raises
    ------
    BadInput
        If a std is not positive, or there are not as many as means.
    """
    return nn.Sequential(OrderedDict(normalise=Normalise(mean, std), network=network))
