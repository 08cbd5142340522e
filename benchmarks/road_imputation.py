"""How many times faster Pellucid imputes than Quantus 0.5.3, at the same 20 levels and the same images.

    python benchmarks/road_imputation.py [--threads 2] [--repeats 5] [--images 8]

Needs the reference environment (scripts/reference_environment.sh). The two sides take turns, each in its own process,
which both exist before the first measurement; transport between them is not counted. Quantus solves one image and level
at a time; the time of its slowest size is kept down by giving it a single image.
"""

import argparse
import os
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "reference"))

import numpy as np
import oracle
import torch
from scipy.ndimage import gaussian_filter

from pellucid.metrics.faithfulness import ROAD_PERCENTAGES, impute, removal_masks, removal_order

SIZES = ((1, 28), (3, 32), (3, 224))


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


def compare(quantus: oracle.Quantus, channels: int, size: int, images: int, repeats: int) -> None:
    """Print one row: both times per system, the ratio of each turn, the largest difference."""
    theirs_images = 1 if size > 100 else images
    x, removed = problem(channels, size, images, seed=size)
    few = slice(0, theirs_images * len(ROAD_PERCENTAGES))
    result = impute(x, removed)  # warms up
    ratios, ours, theirs = [], [], []
    for _ in range(repeats):
        start = time.perf_counter()
        impute(x, removed)
        ours.append((time.perf_counter() - start) / len(x))
        answer = quantus("impute", images=x[few].numpy(), removed=removed[few].numpy())
        theirs.append(answer["seconds"].mean())
        ratios.append(theirs[-1] / ours[-1])
    difference = np.abs(answer["images"] - result.images[few].numpy()).max()
    print(
        f"{size:>3}² × {channels}  {images:>4} images  Quantus {1e3 * statistics.median(theirs):8.2f} ms  "
        f"Pellucid {1e3 * statistics.median(ours):7.3f} ms per system   "
        f"{statistics.median(ratios):5.0f} × faster ({min(ratios):.0f} … {max(ratios):.0f})   "
        f"largest difference {difference:.0e}, residual {result.residual.max():.0e}, direct {int(result.direct.sum())}",
        flush=True,
    )


def main() -> None:
    """Compare at each size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of torch; Quantus' solver has only one")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--images", type=int, default=50, help="at 28² and 32²; a tenth of it at 224²")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    quantus = oracle.quantus()
    if quantus is None:
        sys.exit("no reference environment: run scripts/reference_environment.sh")
    print(f"torch {torch.__version__}, {arguments.threads} threads, {arguments.repeats} turns")
    for channels, size in SIZES:
        images = max(1, arguments.images // 10) if size > 100 else arguments.images
        compare(quantus, channels, size, images, arguments.repeats)


if __name__ == "__main__":
    main()
