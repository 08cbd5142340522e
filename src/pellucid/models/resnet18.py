"""ResNet-18 (He et al. 2016) of torchvision, as T3S uses it for Imagenette."""

from typing import Any, Literal

import torchvision
from torch import nn

from pellucid.errors import unknown_name
from pellucid.models.checks import check_shape
from pellucid.models.initialisation import kaiming

STEMS = {"small": 8, "large": 32}
"""The stems and the smallest image for each: what its strides shrink to one pixel."""


def resnet18(
    *, channels: int, classes: int, image_size: int, stem: Literal["small", "large"] | None = None
) -> nn.Module:
    """ResNet-18 with random weights (T3S code; definitions §1.2); ReLUs do not work in place.

    Parameters
    ----------
    channels, classes, image_size
        Of the data; images need at least 32×32 pixels, with the small stem 8×8.
    stem
        "large": 7×7 convolution of stride 2 and a max-pool, as published. "small": 3×3 convolution of stride 1 and no
        pool. None: small for images below 64×64.

    Raises
    ------
    BadInput
        If the images are too small or `stem` is neither.
    """
    if stem is None:
        stem = "small" if image_size < 64 else "large"
    if stem not in STEMS:
        raise unknown_name("stem of resnet18", stem, STEMS)
    name = f"ResNet-18 with its {stem} stem"
    check_shape(name, channels=channels, classes=classes, image_size=image_size, smallest=STEMS[stem])
    network: Any = torchvision.models.resnet18(weights=None, num_classes=classes)
    if stem == "small":
        network.conv1 = nn.Conv2d(channels, 64, 3, padding=1, bias=False)
        network.maxpool = nn.Identity()
        kaiming(network.conv1)
    elif channels != 3:
        network.conv1 = nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False)
        kaiming(network.conv1)
    return adopted(network, smooth_after="layer1")


def adopted(network: Any, *, smooth_after: str) -> nn.Module:
    """The same torchvision network, told where its SmoothBlock belongs, with ReLUs that do not work in place."""
    for module in network.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    network.smooth_after = smooth_after
    return network  # type: ignore[no-any-return]
