"""Train and eval mode, and wrappers, handled without side effects."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel


@contextmanager
def mode(model: nn.Module, *, training: bool) -> Iterator[None]:
    """Put the whole model in train or eval mode and give every module its own mode back afterwards.

    Each module's flag is restored separately, so a BatchNorm that the user froze stays frozen.
    """
    before = [(module, module.training) for module in model.modules()]
    model.train(training)
    try:
        yield
    finally:
        for module, flag in before:
            module.training = flag


@contextmanager
def differentiable_attention() -> Iterator[None]:
    """Have every attention computed by its formula inside, so that its gradient can be differentiated again.

    PyTorch's fused kernels (flash, memory-efficient, cuDNN) have a first derivative only; the choice is made in the
    forward pass. The formula stores the attention weights, [B, heads, tokens, tokens] numbers a layer.
    """
    with sdpa_kernel([SDPBackend.MATH]):
        yield


def unwrapped(model: nn.Module) -> nn.Module:
    """The user's own module inside Fabric's and DistributedDataParallel's wrappers.

    Attacks use it: a forward through the DDP wrapper per attack step would arm its gradient reducer and break
    BatchNorm (pytorch#175024).
    """
    while type(model).__name__ in {"_FabricModule", "DistributedDataParallel"}:
        model = model.module  # type: ignore[assignment]
    return model
