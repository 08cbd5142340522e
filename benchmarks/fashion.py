"""The problem that the benchmarks share: Fashion-MNIST images of the package, and a small network that knows them."""

import functools

import torch
from torch import Tensor, nn

from pellucid import models
from pellucid.data import fashion_mnist_mini
from pellucid.objectives import natural
from pellucid.randomness import generator

TRAINING_BATCH = 64


@functools.cache
def trained(name: str, steps: int, device: str) -> nn.Sequential:
    """`lenet` or `small_cnn` after some steps of natural training (seconds), in eval mode, without a normalisation.

    The published Fashion-MNIST code has none, and the neighbours need a model made of torch's own layers.
    """
    data = fashion_mnist_mini()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = getattr(models, name)(channels=1, classes=10, image_size=28).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    draws = generator("benchmarks", name)
    for _ in range(steps):
        x, y = (part.to(device) for part in data.batch(torch.randint(len(data), (TRAINING_BATCH,), generator=draws)))
        optimizer.zero_grad()
        natural(model, x, y, generator=draws).total.backward()
        optimizer.step()
    optimizer.zero_grad()
    return model.eval()


def correct_images(model: nn.Module, count: int, device: str) -> tuple[Tensor, Tensor]:
    """The first `count` images [N, 1, 28, 28] that the model classifies correctly, of the test images first; labels."""
    parts = [data.batch(torch.arange(len(data))) for data in (fashion_mnist_mini(split="test"), fashion_mnist_mini())]
    x, y = (torch.cat(both).to(device) for both in zip(*parts, strict=True))
    with torch.no_grad():
        kept = torch.cat([model(part).argmax(1) for part in x.split(256)]) == y
    if int(kept.sum()) < count:
        raise RuntimeError(f"the model classifies {int(kept.sum())} images correctly; {count} are needed")
    return x[kept][:count], y[kept][:count]
