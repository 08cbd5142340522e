"""What one training step of each objective costs, in passes and in time, relative to natural training.

    python benchmarks/objectives.py [--repeats 9] [--threads 1] [--model lenet]

Passes are counted: forward and backward through the network for the loss, for each gradient at the pixels, and for the
double backward, in images. All contestants run in one process, in turn; ratios are medians over the repeats.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from statistics import median

import torch

from pellucid import models, objectives, regularisers
from pellucid.models.normalised import normalised
from pellucid.regularisers.composition import regularised
from pellucid.types import Loss

PGD = {"eps": 0.1, "steps": 7}
CONTESTANTS: dict[str, Callable[..., Loss]] = {
    "natural": objectives.natural,
    "gaussian_noise": partial(objectives.gaussian_noise, sigma=0.1),
    "l1": partial(objectives.l1, eps=0.05),
    "elastic_net": partial(objectives.elastic_net, eps=0.05, eps2=0.1),
    "group_norm": partial(objectives.group_norm, eps=0.1),
    "gaze": partial(objectives.gaze, eps=0.5),
    "fast_adversarial": partial(objectives.fast_adversarial, eps=0.1),
    "l1, 7 steps": partial(objectives.l1, eps=0.05, steps=7),
    "adversarial, 7 steps": partial(objectives.adversarial, **PGD),
    "trades, 7 steps": partial(objectives.trades, beta=6.0, **PGD),
    "input_gradient_penalty": partial(objectives.input_gradient_penalty, weight=0.1),
    **{
        f"natural + {name}": regularised(objectives.natural, {name: (1.0, getattr(regularisers, name))})
        for name in regularisers.__all__
    },
    "adversarial, 3 steps + sparse_misalignment": regularised(
        partial(objectives.adversarial, eps=0.1, steps=3),
        {"sparse_misalignment": (1.0, regularisers.sparse_misalignment)},
    ),
}


def step(objective: Callable[..., Loss], model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> float:
    """Seconds of one optimiser step on 128 images."""
    size = 28 if model.channels == 1 else 32
    draws = torch.Generator().manual_seed(0)
    x, y = torch.rand(128, model.channels, size, size, generator=draws), torch.arange(128) % 10
    needs_maps = "gaze" in getattr(getattr(objective, "func", objective), "__name__", "")
    maps = {"attention": (torch.rand(128, 1, size, size, generator=draws) > 0.5).float()} if needs_maps else {}
    began = time.perf_counter()
    loss = objective(model, x, y, generator=draws, **maps)
    optimizer.zero_grad()
    loss.total.backward()
    optimizer.step()
    return time.perf_counter() - began


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--model", choices=["lenet", "small_cnn", "wide_resnet"], default="lenet")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    channels, extra = (3, {"depth": 10, "width": 1}) if options.model == "wide_resnet" else (1, {})
    network = getattr(models, options.model)(channels=channels, classes=10, image_size=32 if extra else 28, **extra)
    model = normalised(network, (0.3,) * channels, (0.35,) * channels)
    model.channels = channels
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    times: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
    for repeat in range(options.repeats + 1):
        for name, objective in CONTESTANTS.items():
            found = step(objective, model, optimizer)
            if repeat:  # the first is a warm-up
                times[name].append(found)
    print(
        f"{options.model}, batch 128, torch {torch.__version__}, {options.threads} threads, {options.repeats} repeats"
    )
    for name, found in times.items():
        ratios = [a / b for a, b in zip(found, times["natural"], strict=True)]
        print(f"{name:46s} {median(ratios):6.2f}  ({min(ratios):.2f} … {max(ratios):.2f})")


if __name__ == "__main__":
    main()
