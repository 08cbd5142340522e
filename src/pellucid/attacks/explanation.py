"""Attacks on the explanation: images that look the same and are classified the same, with another saliency map.

Ghorbani et al. 2019, "Interpretation of neural networks is fragile"; definitions §4.7. All of them share one search:
walk inside the ε-ball, look at every iterate whose prediction is that of the clean image, keep the one whose map
differs most from the clean map. The attacks differ in what they ascend; `random` ascends nothing and is their control.
"""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from math import isqrt
from types import MappingProxyType

import torch
from torch import Tensor, nn

from pellucid.attacks.ball import Linf, sample_per_image
from pellucid.attacks.explanation_maps import Explained, explained, mass_centre_of, overlap, top_set
from pellucid.errors import BadInput, unknown_name
from pellucid.gradients import gradient_of
from pellucid.models.softplus_twin import softplus_twin
from pellucid.modes import mode, unwrapped
from pellucid.randomness import normal_per_image
from pellucid.types import Image, Labels, Saliency, check_images

__all__ = ["mass_centre", "random", "target_region", "top_k"]


@dataclass(frozen=True)
class Budget:
    """What an attack on the explanation may spend.

    Attributes
    ----------
    eps, step_size
        Radius of the L∞ ball and length of a step, in pixel units.
    steps
        Steps per restart.
    k
        Size of the top-k set, in pixels.
    restarts
        Walks per image; the best iterate of all counts.
    """

    eps: float
    step_size: float
    steps: int
    k: int
    restarts: int = 1

    def __post_init__(self) -> None:
        Linf(self.eps)  # says what is wrong with a radius
        if not 0 < self.step_size < float("inf"):
            raise BadInput(f"step_size is in pixel units and must be positive and finite; got {self.step_size}")
        for name in ("steps", "k", "restarts"):
            if getattr(self, name) < 1:
                raise BadInput(f"{name} of an attack on the explanation must be ≥ 1; got {getattr(self, name)}")


_FASHION = Budget(eps=0.1, step_size=0.01, steps=100, k=100)
BUDGETS: Mapping[str, Budget] = MappingProxyType(
    {
        "fashion-mnist": _FASHION,
        "fashion-mnist-mini": _FASHION,
        "cifar10": Budget(eps=8 / 255, step_size=0.5 / 255, steps=100, k=100),
        "imagenette": Budget(eps=8 / 255, step_size=0.5 / 255, steps=100, k=1000),
    }
)
"""The defaults of definitions §4.7, by data set; k = 1000 is meant for images of 224 × 224."""


@dataclass(frozen=True)
class Attacked:
    """What an attack found.

    Attributes
    ----------
    images
        [B, C, H, W] in [0, 1] and in the ε-ball; the clean image where no iterate was better.
    criterion
        float64 [B]: the criterion of the clean map and the map of `images`; 1 where the image is the clean one.
    """

    images: Image
    criterion: Tensor


@dataclass(frozen=True)
class Looked:
    """Images [B, C, H, W] that an attack looks at, what the model says of them, whether it predicts as before [B]."""

    images: Image
    seen: Explained
    same: Tensor


Criterion = Callable[[Saliency, Saliency], Tensor]
"""Of the clean maps and the maps of iterates, [B, 1, H, W] each, one number per image [B]: 1 alike, lower less so."""

Objective = Callable[[Saliency], Tensor]
"""What to ascend: one number per image [B] of the maps of iterates."""

Iterates = Iterator[tuple[Image, Explained | None]]
"""Images to look at, with what the model says of them where the walk had to find it out anyway."""


def top_k(
    model: nn.Module,
    x: Image,
    y: Labels,
    *,
    budget: Budget,
    ids: Sequence[int],
    seed: int = 0,
    criterion: Criterion | None = None,
) -> Attacked:
    """Take the saliency out of the k most salient pixels: ascends D = -Σ_{i∈T} S_i, T the top-k set of S(x).

    The gradient of D goes through the Softplus twin of the model (:func:`pellucid.models.softplus_twin.softplus_twin`);
    T, predictions and criterion are those of the model itself. The first walk starts at x, restarts at random.

    Parameters
    ----------
    model
        Maps images to logits; evaluated in eval mode, each module gets its mode back.
    x, y
        Images [B, C, H, W] in [0, 1] and the classes whose logits are explained [B]: the label, for an image that is
        classified correctly. Leave the others out.
    budget
        Of the data set: ``BUDGETS["fashion-mnist"]``.
    ids
        Names of the images: together with `seed` they decide the random starts, so batch mates do not.
    criterion
        What counts as success, to be made small. None: the share of T that is left in the top-k set.

    Returns
    -------
    Attacked
        Images that the model classifies as it classifies x. Costs per step one forward and one double backward pass of
        the twin and one forward and backward pass of the model; only the first if the model has no ReLU.

    Raises
    ------
    BadInput
        If images or labels are not as above, there is not one id for each image, or k exceeds the number of pixels.
    """
    return _search(model, x, y, _out_of_top_k(x, y, budget, ids, seed), criterion or _left_of_top(budget.k))


def mass_centre(
    model: nn.Module,
    x: Image,
    y: Labels,
    *,
    budget: Budget,
    ids: Sequence[int],
    seed: int = 0,
    criterion: Criterion | None = None,
) -> Attacked:
    """Move the centre of mass of the map: ascends ‖C(x') - C₀‖², C = Σ S·(row, column) / HW, C₀ = C at x.

    Every walk starts at random in the ball: ‖C - C₀‖² has its minimum at x, where its gradient is 0, and a walk that
    starts there stays there (in a network without a twin). The published code starts at x and moves only because it
    truncates C₀ to integers (D-X3), which decides by a rounding error in which direction the centre goes; there is no
    legacy version of this attack. Everything else is as in :func:`top_k`.
    """
    return _search(model, x, y, _off_centre(x, y, budget, ids, seed), criterion or _left_of_top(budget.k))


def target_region(
    model: nn.Module,
    x: Image,
    y: Labels,
    *,
    budget: Budget,
    ids: Sequence[int],
    region: Tensor | None = None,
    seed: int = 0,
    criterion: Criterion | None = None,
) -> Attacked:
    """Bring the saliency into a region: ascends Σ_{i∈region} S_i.

    Everything else is as in :func:`top_k`.

    Parameters
    ----------
    region
        bool [H, W]. None: the square of about k pixels in the top left corner, where objects seldom are.
    """
    walk = _into_region(x, y, budget, ids, seed, region=region)
    return _search(model, x, y, walk, criterion or _left_of_top(budget.k))


def random(
    model: nn.Module,
    x: Image,
    y: Labels,
    *,
    budget: Budget,
    ids: Sequence[int],
    seed: int = 0,
    criterion: Criterion | None = None,
) -> Attacked:
    """The control: every step goes along the sign of N(0, 1) noise, from x on; no gradient of the map is taken.

    Costs one forward and backward pass of the model per step. Everything else is as in :func:`top_k`.
    """
    return _search(model, x, y, _at_random(x, y, budget, ids, seed), criterion or _left_of_top(budget.k))


def iterates(
    attack: str, model: nn.Module, x: Image, y: Labels, *, budget: Budget, ids: Sequence[int], seed: int = 0
) -> Generator[Looked, None, None]:
    """The clean images, then all that the attack of that name looks at, in its order, whether it keeps it or not.

    For watching an attack: of these the attack returns the one of the least criterion for which `same` holds. The
    parameters are those of :func:`top_k`; a `target_region` is the corner. Costs what the attack costs, as it goes on.

    Raises
    ------
    BadInput
        If there is no such attack, or as :func:`top_k`.
    """
    if attack not in _WALKS:
        raise unknown_name("attack on the explanation", attack, _WALKS)
    return _looked_at(model, x, y, _WALKS[attack](x, y, budget, ids, seed))


Walk = Callable[[nn.Module, Saliency], Iterates]
"""The iterates of an attack, from the model in eval mode and the clean maps."""


def _out_of_top_k(x: Image, y: Labels, budget: Budget, ids: Sequence[int], seed: int) -> Walk:
    def objective(clean: Saliency) -> Objective:
        top = top_set(clean, budget.k)
        return lambda saliency: -(saliency.flatten(1) * top).sum(1)

    starts = [None, *_random_starts(x, ids, budget, seed)][: budget.restarts]
    return _ascent(x, y, objective, budget, starts)


def _off_centre(x: Image, y: Labels, budget: Budget, ids: Sequence[int], seed: int) -> Walk:
    def objective(clean: Saliency) -> Objective:
        before = mass_centre_of(clean)
        return lambda saliency: (mass_centre_of(saliency) - before).square().sum(1)

    return _ascent(x, y, objective, budget, _random_starts(x, ids, budget, seed))


def _into_region(
    x: Image, y: Labels, budget: Budget, ids: Sequence[int], seed: int, region: Tensor | None = None
) -> Walk:
    wanted = _corner(x, budget.k) if region is None else region
    if wanted.dtype != torch.bool or wanted.shape != x.shape[2:]:
        raise BadInput(
            f"the region must be bool {list(x.shape[2:])}, as the images are; got {wanted.dtype} {list(wanted.shape)}"
        )
    inside = wanted.to(x.device)

    def objective(_: Saliency) -> Objective:
        return lambda saliency: (saliency * inside).flatten(1).sum(1)

    starts = [None, *_random_starts(x, ids, budget, seed)][: budget.restarts]
    return _ascent(x, y, objective, budget, starts)


def _at_random(x: Image, _: Labels, budget: Budget, ids: Sequence[int], seed: int) -> Walk:
    _check_ids(x, ids)

    def walk(*_: object) -> Iterates:
        for restart in range(budget.restarts):
            current = x.detach()
            for step in range(budget.steps):
                stream = f"explanation, random {restart} {step}"
                noise = normal_per_image(ids, x.shape[1:], seed=seed, stream=stream).to(x)
                current = _step(x.detach(), current, noise, budget)
                yield current, None

    return walk


_WALKS: Mapping[str, Callable[[Image, Labels, Budget, Sequence[int], int], Walk]] = MappingProxyType(
    {"mass_centre": _off_centre, "random": _at_random, "target_region": _into_region, "top_k": _out_of_top_k}
)


def _search(model: nn.Module, x: Image, y: Labels, walk: Walk, criterion: Criterion) -> Attacked:
    """The iterate of the least criterion among those that are classified as x is, and x itself with the criterion 1."""
    with closing(_looked_at(model, x, y, walk)) as looked:
        clean = next(looked)
        images = clean.images.clone()
        least = torch.ones(len(x), dtype=torch.float64, device=x.device)
        for iterate in looked:
            value = criterion(clean.seen.saliency, iterate.seen.saliency).to(least)
            better = iterate.same & (value < least)
            images = torch.where(better[:, None, None, None], iterate.images, images)
            least = torch.where(better, value, least)
    return Attacked(images, least)


def _looked_at(model: nn.Module, x: Image, y: Labels, walk: Walk) -> Generator[Looked, None, None]:
    """The clean images and every iterate, each with what the model itself says of it."""
    check_images(x, y)
    model, x = unwrapped(model), x.detach()
    with mode(model, training=False):
        clean = explained(model, x, y)
        prediction = clean.logits.argmax(1)
        yield Looked(x, clean, torch.ones_like(prediction, dtype=torch.bool))
        for iterate, known in walk(model, clean.saliency):
            seen = known or explained(model, iterate, y)
            yield Looked(iterate, seen, seen.logits.argmax(1) == prediction)


def _ascent(
    x: Image, y: Labels, objective: Callable[[Saliency], Objective], budget: Budget, starts: Sequence[Tensor | None]
) -> Walk:
    """Steps of the length `step_size` along the sign of the gradient of the objective, from every start."""
    x = x.detach()

    def walk(model: nn.Module, clean: Saliency) -> Iterates:
        twin, score = softplus_twin(model), objective(clean)
        for start in starts:
            current = x if start is None else (x + start).clamp(0, 1)
            for _ in range(budget.steps):
                leaf = current.clone().requires_grad_(True)
                logits, saliency = explained(twin, leaf, y, create_graph=True)
                direction = gradient_of(score(saliency), leaf)
                yield current, None if twin.replaced else Explained(logits.detach(), saliency.detach())
                current = _step(x, current, direction, budget)
            yield current, None

    return walk


def _step(x: Image, current: Image, direction: Tensor, budget: Budget) -> Image:
    region = Linf(budget.eps)
    moved = current + budget.step_size * region.steepest(direction)
    return (x + region.project(moved - x)).clamp(0, 1)


def _random_starts(x: Image, ids: Sequence[int], budget: Budget, seed: int) -> list[Tensor]:
    _check_ids(x, ids)
    region = Linf(budget.eps)
    streams = [f"explanation, start {restart}" for restart in range(budget.restarts)]
    return [sample_per_image(region, x, ids, seed=seed, stream=stream) for stream in streams]


def _check_ids(x: Image, ids: Sequence[int]) -> None:
    if len(ids) != len(x):
        raise BadInput(f"every image needs an id, which decides its random numbers; got {len(ids)} for {len(x)} images")


def _left_of_top(k: int) -> Criterion:
    return lambda clean, saliency: overlap(clean, saliency, k)


def _corner(x: Image, k: int) -> Tensor:
    region = torch.zeros(x.shape[2:], dtype=torch.bool)
    region[: isqrt(k), : isqrt(k)] = True
    return region
