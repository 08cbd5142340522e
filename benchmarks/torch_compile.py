"""Input gradients of a compiled network and in bfloat16, against plain ones: why attacks use neither on their own.

    python benchmarks/torch_compile.py [--repeats 30] [--threads 1] [--device cpu]

Time as a multiple of the plain network's with the weights in the order that Pellucid uses, in one process in turn; how
far the gradients differ, relative to the largest; and, on a GPU, the same with CUDA graphs (mode "reduce-overhead").
Needs a C++ compiler. Compiling takes some seconds for each network and batch size, which is not counted.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor, nn

from pellucid import models
from pellucid.gradients import input_gradient, logit_of
from pellucid.memory_format import fast_memory_format

NETWORKS = [("lenet", 128, 1, 28), ("small_cnn", 128, 1, 28), ("resnet18", 16, 3, 32)]


def ways(model: nn.Module, device: str) -> dict[str, Callable[[Tensor], Tensor]]:
    """The plain network first."""

    def half(x: Tensor) -> Tensor:
        with torch.autocast(device, dtype=torch.bfloat16):
            return model(x).float()

    found = {"plain": model, "compiled": torch.compile(model), "bfloat16": half}
    return found | ({"CUDA graphs": torch.compile(model, mode="reduce-overhead")} if device == "cuda" else {})


def compare(model: nn.Module, x: Tensor, repeats: int) -> dict[str, tuple[float, float]]:
    """Of each way, the median ratio of its time to the plain one's, and how far its gradients are off."""
    score = logit_of(torch.zeros(len(x), dtype=torch.int64, device=x.device))
    contestants = ways(model, x.device.type)
    gradients = {name: input_gradient(one, x, score)[0].clone() for name, one in contestants.items()}
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(repeats):
        for name, one in contestants.items():
            began = time.perf_counter()
            input_gradient(one, x, score)[0].sum().item()  # waits for the device
            seconds[name].append(time.perf_counter() - began)
    plain = gradients["plain"]
    return {
        name: (
            median(a / b for a, b in zip(seconds[name], seconds["plain"], strict=True)),
            float((gradients[name] - plain).abs().max() / plain.abs().max()),
        )
        for name in contestants
        if name != "plain"
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    for name, batch, channels, size in NETWORKS:
        torch.manual_seed(0)
        model = getattr(models, name)(channels=channels, classes=10, image_size=size).to(args.device).eval()
        x = torch.rand(batch, channels, size, size, device=args.device)
        with fast_memory_format(model.requires_grad_(False), x):
            for way, (ratio, off) in compare(model, x, args.repeats).items():
                print(
                    f"{name}, {batch} images of {size}²×{channels}, {way}: {ratio:.2f} × the time, ±{off:.0e}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
