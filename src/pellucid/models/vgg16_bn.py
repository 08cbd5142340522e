"""VGG-16 with batch normalisation (Simonyan & Zisserman 2015) of torchvision."""

from collections import OrderedDict
from typing import Any, Literal

import torchvision
from torch import nn
from torchvision.models.vgg import cfgs, make_layers

from pellucid.errors import unknown_name
from pellucid.models.checks import check_shape
from pellucid.models.initialisation import kaiming
from pellucid.models.resnet18 import adopted

HEADS = ("small", "large")


def vgg16_bn(
    *, channels: int, classes: int, image_size: int, head: Literal["small", "large"] | None = None
) -> nn.Module:
    """VGG-16 with batch normalisation and random weights; ReLUs do not work in place.

    T3S shows VGG-16 results without code; the block stands after the first max-pool by analogy with LeNet
    (definitions §1.2).

    Parameters
    ----------
    channels, classes, image_size
        Of the data; images need at least 32×32 pixels.
    head
        "large": torchvision's three linear layers with dropout. "small": the mean of the map, then one linear layer
        512 → classes. None: small for images below 64×64.

    Raises
    ------
    BadInput
        If the images are too small or `head` is neither.
    """
    check_shape("VGG-16", channels=channels, classes=classes, image_size=image_size, smallest=32)
    if head is None:
        head = "small" if image_size < 64 else "large"
    if head not in HEADS:
        raise unknown_name("head of vgg16_bn", head, HEADS)
    network: Any = _small(classes) if head == "small" else torchvision.models.vgg16_bn(num_classes=classes)
    if channels != 3:
        network.features[0] = nn.Conv2d(channels, 64, 3, padding=1)
        _initialise(network.features[0])
    return adopted(network, smooth_after="features.6")


def _small(classes: int) -> nn.Sequential:
    network = nn.Sequential(
        OrderedDict(
            features=make_layers(cfgs["D"], batch_norm=True),
            avgpool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            classifier=nn.Linear(512, classes),
        )
    )
    for module in network.modules():
        _initialise(module)
    return network


def _initialise(module: nn.Module) -> None:
    """The rule of torchvision for VGG: kaiming convolutions, narrow linear layers, no biases."""
    if isinstance(module, nn.Conv2d):
        kaiming(module)
    elif isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.01)
    else:
        return
    if module.bias is not None:
        nn.init.zeros_(module.bias)
