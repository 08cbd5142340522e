"""Point sets in the plane, and three ways to put outliers into them (definitions §3.1).

They are no image data sets: these functions are called by name from here, not through a config's ``data``.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import pi, tau

import numpy as np
import torch
from scipy.spatial import KDTree
from torch import Tensor

from pellucid.errors import BadInput, unknown_name

NEIGHBOURS = 15
"""A point is interior if so many nearest neighbours all have its label."""

FAR = (1.5, 2.0)
"""Far points lie between these multiples of the largest distance of a training point from the mean."""

BLOB_RADIUS = 2.5
"""Distance of the three blobs' centres from the origin (the definitions leave it open): about 3 % Bayes error."""


@dataclass(frozen=True)
class Points:
    """Points of the plane with their classes.

    Attributes
    ----------
    x
        [N, 2] float64.
    y
        [N] int64, labels as training sees them.
    corrupted
        [N] bool: which of them were given another label, or another place.
    """

    x: Tensor
    y: Tensor
    corrupted: Tensor

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True)
class Frame:
    """Standardised coordinates (x - mean) / scale; both [2]."""

    mean: Tensor
    scale: Tensor

    def standardised(self, points: Points) -> Points:
        """The same points in these coordinates."""
        return replace(points, x=(points.x - self.mean) / self.scale)


def frame_of(points: Points) -> Frame:
    """The coordinates in which these (training) points have mean 0 and standard deviation 1."""
    return Frame(points.x.mean(0), points.x.std(0))


def moons(count: int, *, generator: torch.Generator, noise: float = 0.2) -> Points:
    """Two interleaved half circles of radius 1."""
    y = _labels(count, 2, generator)
    angle = pi * _uniform(count, generator)
    upper = torch.stack([angle.cos(), angle.sin()], 1)
    lower = torch.stack([1 - angle.cos(), 0.5 - angle.sin()], 1)
    return _points(torch.where(y[:, None] == 0, upper, lower), y, noise, generator)


def circles(count: int, *, generator: torch.Generator, noise: float = 0.1, factor: float = 0.5) -> Points:
    """A circle of radius 1 (class 0) around one of radius `factor` (class 1)."""
    y = _labels(count, 2, generator)
    angle = tau * _uniform(count, generator)
    radius = torch.where(y == 0, 1.0, factor).to(angle)
    return _points(radius[:, None] * torch.stack([angle.cos(), angle.sin()], 1), y, noise, generator)


def spirals(count: int, *, generator: torch.Generator, noise: float = 0.1, turns: float = 1.5) -> Points:
    """Two arms; the radius is the number of turns, so that neighbouring arms are half a unit apart."""
    y = _labels(count, 2, generator)
    turn = turns * _uniform(count, generator).sqrt()
    angle = tau * turn + pi * y
    return _points(turn[:, None] * torch.stack([angle.cos(), angle.sin()], 1), y, noise, generator)


def blobs(count: int, *, generator: torch.Generator) -> Points:
    """Three round Gaussians of standard deviation 1, one a class."""
    y = _labels(count, 3, generator)
    centres, _, sd = _MIXTURES["blobs"]
    return _points(centres[y], y, sd, generator)


def xor(count: int, *, generator: torch.Generator) -> Points:
    """Four round Gaussians of standard deviation .35 at (±1, ±1); class 1 where the signs differ."""
    centres, classes, sd = _MIXTURES["xor"]
    which = _labels(count, 4, generator)
    return _points(centres[which], classes[which], sd, generator)


POINT_SETS: dict[str, Callable[..., Points]] = {
    function.__name__: function for function in (moons, circles, spirals, blobs, xor)
}
CLASSES = {"moons": 2, "circles": 2, "spirals": 2, "blobs": 3, "xor": 2}


def draw_points(name: str, count: int, *, generator: torch.Generator) -> Points:
    """`count` points of the set called `name`, with the noise of definitions §3.1.

    Raises
    ------
    BadInput
        For an unknown set, or fewer than two points.
    """
    if name not in POINT_SETS:
        raise unknown_name("point set", name, POINT_SETS)
    if count < 2:
        raise BadInput(f"a point set needs at least 2 points; got {count}")
    return POINT_SETS[name](count, generator=generator)


def bayes_gradients(name: str, x: Tensor) -> Tensor | None:
    """∇ₓ log p(x | class) of every class [N, K, 2] in raw coordinates [N, 2], or None where no closed form is used.

    Differences over the classes are the gradients of the Bayes log-odds. Exact for blobs and xor; for circles, whose
    log-odds fall from the centre outwards, of the right direction only (length 1).
    """
    if name in _MIXTURES:
        centres, classes, sd = _MIXTURES[name]
        return torch.stack([_mixture_gradient(x, centres[classes == c], sd) for c in range(CLASSES[name])], 1)
    if name == "circles":
        outwards = torch.nn.functional.normalize(x, dim=1)
        return torch.stack([outwards, -outwards], 1)
    return None


def flip_labels(points: Points, rate: float, *, classes: int, generator: torch.Generator) -> Points:
    """Give a share `rate` of the points, drawn uniformly, another label."""
    order = torch.randperm(len(points), generator=generator)
    return _relabelled(points, order[: _number(points, rate)], classes, generator)


def flip_interior(points: Points, rate: float, *, classes: int, generator: torch.Generator) -> Points:
    """As :func:`flip_labels`, but only points whose 15 nearest neighbours all have their label (all, if too few)."""
    order = torch.randperm(len(points), generator=generator)
    inside = order[interior(points)[order]]
    return _relabelled(points, inside[: _number(points, rate)], classes, generator)


def move_far(points: Points, rate: float, *, classes: int, generator: torch.Generator) -> Points:
    """Move a share `rate` of the points far out (see FAR), in any direction, and give them random labels."""
    order = torch.randperm(len(points), generator=generator)
    angle, spread = tau * _uniform(len(points), generator), _uniform(len(points), generator)
    labels = _labels(len(points), classes, generator)
    centre = points.x.mean(0)
    reach = (points.x - centre).norm(dim=1).max()
    radius = reach * (FAR[0] + (FAR[1] - FAR[0]) * spread)
    places = centre + radius[:, None] * torch.stack([angle.cos(), angle.sin()], 1)
    chosen = _mask(points, order[: _number(points, rate)])
    return Points(
        torch.where(chosen[:, None], places, points.x),
        torch.where(chosen, labels, points.y),
        points.corrupted | chosen,
    )


CORRUPTIONS: dict[str, Callable[..., Points]] = {"flips": flip_labels, "interior": flip_interior, "far": move_far}


def corrupt(points: Points, kind: str, rate: float, *, classes: int, generator: torch.Generator) -> Points:
    """Corrupt a share of the points. From one seed, a lower rate corrupts some of the points that a higher one does.

    Parameters
    ----------
    kind
        "flips" (uniform label flips), "interior" (flips of points deep inside their class) or "far".
    rate
        In [0, 1).

    Raises
    ------
    BadInput
        For an unknown kind, a rate outside of [0, 1), or fewer than two classes.
    """
    if kind not in CORRUPTIONS:
        raise unknown_name("corruption", kind, CORRUPTIONS)
    if not 0 <= rate < 1:
        raise BadInput(f"the corrupted share of the points must lie in [0, 1); got {rate}")
    if classes < 2:
        raise BadInput(f"labels cannot be corrupted with {classes} class; there must be at least 2")
    return CORRUPTIONS[kind](points, rate, classes=classes, generator=generator)


def interior(points: Points) -> Tensor:
    """Which points have only neighbours of their own label among the 15 nearest (or all others, if fewer), [N] bool."""
    near = min(NEIGHBOURS, len(points) - 1)
    places = points.x.numpy()
    _, who = KDTree(places).query(places, k=near + 1)
    labels = points.y.numpy()
    return torch.from_numpy((labels[who] == labels[:, None]).all(1))


_Mixture = tuple[Tensor, Tensor, float]
_SIGNS = torch.tensor([[1.0, 1.0], [-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0]], dtype=torch.float64)
_CORNERS = np.array([pi / 2, pi / 2 + tau / 3, pi / 2 + 2 * tau / 3])
_MIXTURES: dict[str, _Mixture] = {
    "blobs": (
        torch.from_numpy(BLOB_RADIUS * np.stack([np.cos(_CORNERS), np.sin(_CORNERS)], 1)),
        torch.arange(3),
        1.0,
    ),
    "xor": (_SIGNS, torch.tensor([0, 0, 1, 1]), 0.35),
}
"""Centres [M, 2], the class of each [M], and their common standard deviation."""


def _mixture_gradient(x: Tensor, centres: Tensor, sd: float) -> Tensor:
    """∇ log Σ_m N(x; centre_m, sd²) = Σ_m r_m (centre_m - x) / sd², r the responsibilities."""
    away = centres - x[:, None].to(centres)
    shares = torch.softmax(-away.square().sum(2) / (2 * sd**2), 1)
    return (shares[:, :, None] * away).sum(1) / sd**2


def _points(x: Tensor, y: Tensor, noise: float, generator: torch.Generator) -> Points:
    moved = x + noise * torch.randn(x.shape, generator=generator, dtype=torch.float64)
    return Points(moved, y, torch.zeros(len(y), dtype=torch.bool))


def _labels(count: int, classes: int, generator: torch.Generator) -> Tensor:
    return torch.randint(classes, (count,), generator=generator)


def _uniform(count: int, generator: torch.Generator) -> Tensor:
    return torch.rand(count, generator=generator, dtype=torch.float64)


def _number(points: Points, rate: float) -> int:
    return round(rate * len(points))


def _mask(points: Points, which: Tensor) -> Tensor:
    mask = torch.zeros(len(points), dtype=torch.bool)
    mask[which] = True
    return mask


def _relabelled(points: Points, which: Tensor, classes: int, generator: torch.Generator) -> Points:
    """Another label, uniform over the other classes, for the points `which`."""
    others = (points.y + 1 + torch.randint(classes - 1, (len(points),), generator=generator)) % classes
    chosen = _mask(points, which)
    return Points(points.x, torch.where(chosen, others, points.y), points.corrupted | chosen)
