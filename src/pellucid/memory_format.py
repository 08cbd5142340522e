"""Convolution weights in channels-last order for as long as many passes are made, where that makes them faster."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, channels_last, nn
from torch.nn.parameter import is_lazy

from pellucid.types import Image

LARGE_IMAGE, SHALLOW = 64, 4
"""Pixels a side from which, and convolutions up to which, channels-last is faster on CPUs. Deep networks on smaller
images gain nothing (ResNet-18, WRN-28-10) or are a quarter slower (VGG-16): ``benchmarks/memory_format.py``."""
KNOWN = ("torch.nn", "torchvision", "timm", "pellucid")
"""Packages whose networks run in either order. A user's own forward may call ``view`` on maps, which then fails."""


@contextmanager
def fast_memory_format(model: object, x: Image) -> Iterator[None]:
    """Lay the convolutions' weights out channels-last inside, where passes on images like `x` are faster that way.

    Convolutions then return channels-last maps, on which PyTorch's max-pooling and convolutions of few channels take
    half the time on CPUs; input gradients of the papers' two small networks gain a fifth to a third. Results differ
    from the usual order's by rounding; in flat parts of an image, where a max-pooling chooses among equals, rounding
    can send a gradient to another pixel. On GPUs, and for networks with modules of unknown packages, nothing changes;
    those who know that their network runs in that order say ``model.to(memory_format=torch.channels_last)`` themselves.

    The weights have their former order afterwards; what was trained inside is kept.
    """
    weights = _weights(model) if isinstance(model, nn.Module) and _pays(model, x) else []
    before = [(weight, weight.stride()) for weight in weights]
    for weight in weights:
        weight.data = weight.data.to(memory_format=channels_last)
    try:
        yield
    finally:
        for weight, strides in before:
            if weight.stride() != strides:
                weight.data = weight.data.new_empty_strided(weight.shape, strides).copy_(weight.data)


def _pays(model: nn.Module, x: Image) -> bool:
    if x.device.type != "cpu" or not all(_known(module) for module in model.modules()):
        return False
    return max(x.shape[-2:]) >= LARGE_IMAGE or len(_weights(model)) <= SHALLOW


def _known(module: nn.Module) -> bool:
    return type(module).__module__.startswith(tuple(f"{package}." for package in KNOWN))


def _weights(model: nn.Module) -> list[Tensor]:
    """Each 2-D convolution's weight, once; those that are computed from others, or not made yet, are left out."""
    own = [module._parameters.get("weight") for module in model.modules() if isinstance(module, nn.Conv2d)]
    return list({id(weight): weight for weight in own if weight is not None and not is_lazy(weight)}.values())
