"""The 3×3 smoothing filters, forward and backward in float32, against kornia's.

    python benchmarks/filters.py [--repeats 5] [--threads 2]

At the shapes that the feature maps have in the papers' networks; a SmoothBlock is one of these filters. The last shape,
one image alone, is 864 numbers: what counts there is how many functions of PyTorch are called, some 80 for the median.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from pellucid.filters import gaussian, mean
from pellucid.filters import median as median_filter
from ratios import FASTER, Row, Settings, agreeing, alone, divided, in_turn, timed

SHAPES = [(128, 6, 12, 12), (128, 32, 14, 14), (16, 64, 56, 56), (32, 160, 32, 32), (1, 6, 12, 12)]
SIGMA = 2.15
FILTERS: dict[str, Callable[[Tensor], Tensor]] = {
    "gaussian": lambda x: gaussian(x, sigma=SIGMA),
    "mean": mean,
    "median": median_filter,
}
TARGETS = {"median": 3.0}


def passes(function: Callable[[Tensor], Tensor], x: Tensor, calls: int) -> None:
    """Forward and backward, so often that it can be timed."""
    for _ in range(calls):
        leaf = x.detach().requires_grad_()
        function(leaf).sum().backward()


def compare(settings: Settings, name: str, shape: tuple[int, ...]) -> Row:
    """The row of one filter at one shape."""
    x, function = torch.rand(shape, generator=torch.Generator().manual_seed(0)), FILTERS[name]
    calls = max(1, 400_000 // x.numel())
    given = {"name": name, "images": x.numpy(), "sigma": SIGMA, "calls": calls}
    theirs = torch.from_numpy(settings.neighbours("smooth", **given)["images"])
    x = x.to(settings.device)
    checked = agreeing("maps", float((function(x).cpu() - theirs).abs().max()), 1e-5)
    contestants = {
        "ours": timed(lambda: passes(function, x, calls), settings.device),
        "kornia": lambda: float(settings.neighbours("smooth", **given)["seconds"]),
    }
    found = in_turn(contestants, settings.repeats)
    size = f"{shape[0]}×{shape[1]}@{shape[2]}²"
    ratios = divided(found["kornia"], found["ours"])
    return Row(f"{name} 3×3, forward and backward, {size}", "kornia", ratios, FASTER, TARGETS.get(name), checked)


def rows(settings: Settings) -> list[Row]:
    """Every filter at every shape; nothing without the neighbours."""
    if settings.neighbours is None:
        return []
    shapes = SHAPES[-1:] if settings.smallest else SHAPES
    return [compare(settings, name, shape) for shape in shapes for name in FILTERS]


if __name__ == "__main__":
    alone(__doc__, rows)
