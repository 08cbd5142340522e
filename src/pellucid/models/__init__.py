"""Networks, by the name a config uses: ``f(*, channels, classes, image_size, **options) -> nn.Module``.

A builder returns the network alone; normalisation becomes its first layer by
:func:`pellucid.models.normalised.normalised`, smoothing is inserted by
:func:`pellucid.models.smoothing.insert_smoothing`. Every network says in its attribute ``smooth_after`` where T3S would
smooth it. No ReLU works in place, so that the output of every module can be looked at and smoothed.

``timm``, ``torchvision`` and ``hugging_face`` are doors to other libraries' networks: they take an `architecture`, and
``timm:resnet18`` is short for ``{name: timm, architecture: resnet18}``. :func:`pellucid.models.opening.open_model`
opens any model by one word.
"""

from pellucid.models.hugging_face import hugging_face
from pellucid.models.lenet import lenet
from pellucid.models.resnet18 import resnet18
from pellucid.models.small_cnn import small_cnn
from pellucid.models.timm import timm
from pellucid.models.torchvision_zoo import torchvision
from pellucid.models.vgg16_bn import vgg16_bn
from pellucid.models.vit import vit
from pellucid.models.wide_resnet import wide_resnet

__all__ = [
    "hugging_face",
    "lenet",
    "resnet18",
    "small_cnn",
    "timm",
    "torchvision",
    "vgg16_bn",
    "vit",
    "wide_resnet",
]
