"""The 3×3 smoothing filters, forward and backward, against kornia's.

    python benchmarks/filters.py [--repeats 7] [--threads 1]

Float32, both in one process, in turn; the printed ratios (kornia's time / ours) are medians with their spread.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median

import kornia
import torch
from torch import Tensor

from pellucid.filters import gaussian, mean
from pellucid.filters import median as median_filter

SHAPES = [(128, 6, 12, 12), (128, 32, 14, 14), (16, 64, 56, 56), (32, 160, 32, 32), (1, 6, 12, 12)]
SIGMA = 2.15
PAIRS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "gaussian": (
        lambda x: gaussian(x, sigma=SIGMA),
        lambda x: kornia.filters.gaussian_blur2d(x, (3, 3), (SIGMA, SIGMA), "reflect"),
    ),
    "mean": (mean, lambda x: kornia.filters.box_blur(x, (3, 3), "reflect")),
    "median": (median_filter, lambda x: kornia.filters.median_blur(x, (3, 3), "constant")),
}


def seconds(function: Callable[[Tensor], Tensor], x: Tensor) -> float:
    """Wall time of one forward and one backward pass, averaged over enough calls to be measurable."""
    calls = max(1, 400_000 // x.numel())
    began = time.perf_counter()
    for _ in range(calls):
        leaf = x.detach().requires_grad_()
        function(leaf).sum().backward()
    return (time.perf_counter() - began) / calls


def main() -> None:
    """Print the table of ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(
        f"torch {torch.__version__}, kornia {kornia.__version__}, {options.threads} threads, {options.repeats} repeats"
    )
    for shape in SHAPES:
        x = torch.rand(shape, generator=torch.Generator().manual_seed(0))
        for name, (ours, theirs) in PAIRS.items():
            torch.testing.assert_close(ours(x), theirs(x), rtol=1e-5, atol=1e-6)
            ratios = [seconds(theirs, x) / seconds(ours, x) for _ in range(options.repeats + 1)][1:]
            print(f"{shape!s:20s} {name:9s} {median(ratios):5.1f} ×  ({min(ratios):.1f} … {max(ratios):.1f})")


if __name__ == "__main__":
    main()
