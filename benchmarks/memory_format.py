"""Input gradients with channels-last weights against the usual order: what `pellucid.memory_format` decides by.

    python benchmarks/memory_format.py [--repeats 9] [--threads 1]

Time with channels-last weights as a multiple of the usual one, in one process in turn, and whether Pellucid uses it.
"""

import argparse
import copy
import time
from collections.abc import Callable
from statistics import median

import torch
import torchvision
from torch import Tensor, nn

from pellucid import models
from pellucid.gradients import input_gradient, logit_of
from pellucid.memory_format import fast_memory_format

OWN = [("lenet", 128, 1, 28), ("small_cnn", 64, 1, 28), ("small_cnn", 64, 3, 32)]
OWN += [("resnet18", 16, 3, 32), ("wide_resnet", 8, 3, 32), ("vgg16_bn", 32, 3, 32)]
ZOO = ["resnet18", "resnet50", "vgg11", "mobilenet_v3_small", "efficientnet_b0", "convnext_tiny", "densenet121"]


def cases() -> list[tuple[str, Callable[[], nn.Module], Tensor]]:
    found = [
        (
            name,
            lambda name=name, c=c, s=s: getattr(models, name)(channels=c, classes=10, image_size=s),
            torch.rand(b, c, s, s),
        )
        for name, b, c, s in OWN
    ]
    zoo = [
        (f"torchvision {name}", lambda name=name: getattr(torchvision.models, name)(), torch.rand(4, 3, 224, 224))
        for name in ZOO
    ]
    return found + zoo


def ratio(model: nn.Module, x: Tensor, repeats: int) -> float:
    """Median over `repeats` of the time with channels-last weights over the usual time."""
    fast = copy.deepcopy(model).to(memory_format=torch.channels_last)
    score = logit_of(torch.zeros(len(x), dtype=torch.int64))
    found = []
    for repeat in range(repeats + 1):
        times = []
        for one in (model, fast):
            began = time.perf_counter()
            input_gradient(one, x, score)
            times.append(time.perf_counter() - began)
        if repeat:  # the first one warms up
            found.append(times[1] / times[0])
    return median(found)


def used(model: nn.Module, x: Tensor) -> bool:
    before = [weight.stride() for weight in model.parameters()]
    with fast_memory_format(model, x):
        return before != [weight.stride() for weight in model.parameters()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    for name, build, x in cases():
        torch.manual_seed(0)
        model = build().eval().requires_grad_(False)
        took, word = ratio(model, x, args.repeats), "used" if used(model, x) else "not used"
        print(f"{name}, {len(x)} images of {x.shape[-1]}²×{x.shape[1]}: {took:.2f} × the time, {word}", flush=True)


if __name__ == "__main__":
    main()
