"""ROAD's imputation at its 20 levels, against Quantus 0.5.3 and pytorch-grad-cam.

    python benchmarks/road_imputation.py [--repeats 5] [--threads 2]

Smooth images and clustered masks as gradients make them. Both neighbours solve one image and level at a time, with a
direct solver; they get fewer images (one at 224²), and times per system are compared. Three channels cost them one
factorisation, and Pellucid three iterations, which is why 32×32×3 gains least.
"""

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from pellucid.metrics.faithfulness import ROAD_PERCENTAGES, impute, removal_masks, removal_order
from ratios import FASTER, Row, Settings, agreeing, alone, divided, in_turn, timed

SIZES = {(1, 28): (50, 10), (3, 32): (50, 10), (3, 224): (5, 1)}
"""Channels and side, then the number of our images and of the neighbours'."""
NEIGHBOURS = {"impute_with_quantus": ("Quantus 0.5.3", 30), "impute_with_grad_cam": ("pytorch-grad-cam", None)}
TOLERANCE = 1e-4


def problem(channels: int, size: int, images: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Smooth images and clustered, gradient-like masks at the 20 levels: [N·20, C, H, W] and [N·20, H, W]."""
    generator = np.random.default_rng(seed)

    def smooth(width: float) -> np.ndarray:
        field = gaussian_filter(generator.standard_normal((size, size)), width)
        return (field - field.min()) / (field.max() - field.min())

    maps = [smooth(size / 8) ** 2 * np.abs(generator.standard_normal((size, size))) for _ in range(images)]
    pictures = [[smooth(2) for _ in range(channels)] for _ in range(images)]
    masks = removal_masks(removal_order(torch.tensor(np.array(maps))[:, None]), (size, size))
    x = torch.tensor(np.array(pictures), dtype=torch.float32).repeat_interleave(len(ROAD_PERCENTAGES), 0)
    return x, masks.flatten(0, 1)


def compare(settings: Settings, channels: int, size: int, images: int, fewer: int) -> list[Row]:
    """The rows of one size."""
    x, removed = problem(channels, size, images, seed=size)
    few = slice(0, fewer * len(ROAD_PERCENTAGES))
    given = {"images": x[few].numpy(), "removed": removed[few].numpy()}
    x, removed = x.to(settings.device), removed.to(settings.device)
    result, answers = impute(x, removed), {}

    def neighbour(function: str) -> float:
        answers[function] = settings.neighbours(function, **given)
        return float(answers[function]["seconds"])

    chosen = NEIGHBOURS if size < 100 else dict([*NEIGHBOURS.items()][:1])  # the two take equally long
    contestants = {name: lambda name=name: neighbour(name) for name in chosen}
    found = in_turn({"ours": timed(lambda: impute(x, removed), settings.device), **contestants}, settings.repeats)
    ours = [seconds / images for seconds in found["ours"]]
    solved = f"residual {float(result.residual.max()):.0e}, {int(result.direct.sum())} solved directly"
    table = []
    for function, (name, target) in chosen.items():
        difference = np.abs(answers[function]["images"] - result.images[few].cpu().numpy()).max()
        checked = f"{agreeing('pixels', float(difference), TOLERANCE)}, {solved}"
        against = f"{name}, {fewer} image{'s' * (fewer > 1)}"
        ratios = divided([seconds / fewer for seconds in found[function]], ours)
        work = f"ROAD imputation, 20 levels, {size}×{size}×{channels}, {images} images"
        table.append(Row(work, against, ratios, FASTER, target, checked))
    return table


def rows(settings: Settings) -> list[Row]:
    """At every size; nothing without the neighbours."""
    if settings.neighbours is None:
        return []
    if settings.smallest:
        return compare(settings, 1, 28, 1, 1)
    return [row for (channels, size), counts in SIZES.items() for row in compare(settings, channels, size, *counts)]


if __name__ == "__main__":
    alone(__doc__, rows)
