"""One PGD-40 training step of Pellucid against the bare passes that it needs, and against cleverhans-style PGD.

    python benchmarks/pgd_step.py [--repeats 7] [--threads 2]

The floor is a loop of exactly 40 forward/input-gradient passes plus one update, on the 32/64/1024 CNN at batch 128.
All contestants run in one process, in turn; the printed ratios are medians over the repeats, with their spread.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from statistics import median

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from pellucid.models import small_cnn
from pellucid.models.normalised import normalised
from pellucid.objectives import adversarial

EPS, STEP, STEPS = 0.1, 0.01, 40
Batch = tuple[Tensor, Tensor]


def bare(model: nn.Module, optimizer: torch.optim.Optimizer, batch: Batch) -> None:
    """The floor: the passes and nothing else; the images never move."""
    x, y = batch
    for _ in range(STEPS):
        leaf = x.detach().requires_grad_()
        torch.autograd.grad(cross_entropy(model(leaf), y, reduction="sum"), leaf)
    optimizer.zero_grad()
    cross_entropy(model(x), y).backward()
    optimizer.step()


def ours(model: nn.Module, optimizer: torch.optim.Optimizer, batch: Batch) -> None:
    """Pellucid's objective."""
    draws = torch.Generator().manual_seed(0)
    loss = adversarial(model, *batch, generator=draws, eps=EPS, step_size=STEP, steps=STEPS)
    optimizer.zero_grad()
    loss.total.backward()
    optimizer.step()


def in_the_style_of_cleverhans(model: nn.Module, optimizer: torch.optim.Optimizer, batch: Batch) -> None:
    """What the published scripts do: labels from an extra forward, `backward()` into all weights, checks every step."""
    x, _ = batch
    label = model(x).argmax(1)
    adversarial_x = x + torch.empty_like(x).uniform_(-EPS, EPS)
    for _ in range(STEPS):
        leaf = adversarial_x.clone().detach().to(torch.float).requires_grad_(True)
        loss = nn.CrossEntropyLoss()(model(leaf), label)
        loss.backward()
        moved = leaf + STEP * torch.sign(leaf.grad)
        adversarial_x = x + torch.clamp(moved - x, -EPS, EPS)
        assert bool((adversarial_x - x).abs().max() <= EPS + 1e-6)
    optimizer.zero_grad()
    cross_entropy(model(adversarial_x), label).backward()
    optimizer.step()


def seconds(work: Callable[[], None]) -> float:
    """Wall time of one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    """Print the table of ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    batch = torch.rand(128, 1, 28, 28), torch.randint(0, 10, (128,))
    contestants: dict[str, Callable[[], None]] = {}
    for step in (bare, ours, in_the_style_of_cleverhans):
        model = normalised(small_cnn(channels=1, classes=10, image_size=28), (0.3,), (0.35,))
        contestants[step.__name__] = partial(step, model, torch.optim.Adam(model.parameters()), batch)
    for work in contestants.values():
        work()
    times = {name: [] for name in contestants}
    for _ in range(options.repeats):
        for name, work in contestants.items():
            times[name].append(seconds(work))
    print(f"torch {torch.__version__}, {options.threads} threads, {options.repeats} repeats; ratio to the bare passes")
    for name, found in times.items():
        ratios = [a / b for a, b in zip(found, times["bare"], strict=True)]
        print(f"{name:28s} {median(ratios):.3f}  ({min(ratios):.3f} … {max(ratios):.3f})")


if __name__ == "__main__":
    main()
