"""The data of the study: for each seed the same points for every method, and where the field is looked at."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import Delaunay
from torch import Tensor

from pellucid.data.points import CLASSES, Points, bayes_gradients, corrupt, draw_points, frame_of
from pellucid.randomness import generator

GRID_STEP = 0.1
"""Distance of grid points, in standardised units."""
STABILITY_POINTS, STABILITY_DRAWS, STABILITY_RADIUS = 400, 32, 0.3
MISALIGNMENT_DRAWS, MISALIGNMENT_SIGMA = 16, 0.1


@dataclass(frozen=True)
class Problem:
    """One set at all seeds, in the standardised coordinates of each seed's clean training points.

    Attributes
    ----------
    name, classes, seeds
        The set, K and the seeds, in the order of the first axis of everything below.
    train
        Clean training points, one a seed.
    x, y
        Clean test points [S, M, 2] float32, and their labels [S, M].
    bayes
        ∇ₓ log p(x | class) at the test points [S, M, K, 2] float64, or None where there is no closed form.
    grid, inside
        A square grid [G, 2], and which of it lies in the convex hull of the clean training points [S, G].
    offsets, noise
        Uniform in ±.3 and N(0, .1²): moves of the first test points [S, draws, points, 2].
    """

    name: str
    classes: int
    seeds: tuple[int, ...]
    train: tuple[Points, ...]
    x: Tensor
    y: Tensor
    bayes: Tensor | None
    grid: Tensor
    inside: Tensor
    offsets: Tensor
    noise: Tensor

    def corrupted(self, kind: str, rate: float) -> tuple[Points, ...]:
        """The training points of each seed after a corruption ("clean": as they are)."""
        if kind == "clean":
            return self.train
        return tuple(
            corrupt(points, kind, rate, classes=self.classes, generator=generator("field", self.name, kind, seed))
            for seed, points in zip(self.seeds, self.train, strict=True)
        )


def make_problem(name: str, seeds: Sequence[int], *, train_points: int, test_points: int) -> Problem:
    """Draw a set for every seed. Raises BadInput for an unknown set or too few points."""
    raw = [draw_points(name, train_points, generator=generator("field", name, "train", seed)) for seed in seeds]
    fresh = [draw_points(name, test_points, generator=generator("field", name, "test", seed)) for seed in seeds]
    frames = [frame_of(points) for points in raw]
    train = tuple(frame.standardised(points) for frame, points in zip(frames, raw, strict=True))
    test = [frame.standardised(points) for frame, points in zip(frames, fresh, strict=True)]
    slopes = [bayes_gradients(name, points.x) for points in fresh]
    bayes = [slope * frame.scale for slope, frame in zip(slopes, frames, strict=True) if slope is not None]
    grid = _grid(train)
    near = min(STABILITY_POINTS, test_points)
    return Problem(
        name=name,
        classes=CLASSES[name],
        seeds=tuple(seeds),
        train=train,
        x=stacked([points.x for points in test]).float(),
        y=stacked([points.y for points in test]),
        bayes=stacked(bayes) if bayes else None,
        grid=grid,
        inside=stacked([_inside_hull(points.x, grid) for points in train]),
        offsets=stacked([_uniform(name, seed, near) for seed in seeds]),
        noise=stacked([_normal(name, seed, near) for seed in seeds]),
    )


def stacked(tensors: Sequence[Tensor]) -> Tensor:
    """One tensor, the seeds along its first axis."""
    return torch.stack(list(tensors))


def _grid(train: Sequence[Points]) -> Tensor:
    """A grid around the training points of all seeds; its points are multiples of GRID_STEP."""
    every = torch.cat([points.x for points in train])
    ends = torch.stack([(every.amin(0) / GRID_STEP).floor(), (every.amax(0) / GRID_STEP).ceil()])
    first, second = (torch.arange(int(low), int(high) + 1) * GRID_STEP for low, high in ends.T)
    return torch.cartesian_prod(first, second).float()


def _inside_hull(train: Tensor, grid: Tensor) -> Tensor:
    hull = Delaunay(train.numpy())
    return torch.from_numpy(np.asarray(hull.find_simplex(grid.double().numpy()) >= 0))


def _uniform(name: str, seed: int, points: int) -> Tensor:
    draws = generator("field", name, "stability", seed)
    return STABILITY_RADIUS * (2 * torch.rand(STABILITY_DRAWS, points, 2, generator=draws) - 1)


def _normal(name: str, seed: int, points: int) -> Tensor:
    draws = generator("field", name, "misalignment", seed)
    return MISALIGNMENT_SIGMA * torch.randn(MISALIGNMENT_DRAWS, points, 2, generator=draws)
