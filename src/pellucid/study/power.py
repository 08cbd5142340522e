"""How many participants a study needs: the planned analysis on simulated participants."""

from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any, TypeAlias

import numpy as np

from pellucid.errors import BadInput
from pellucid.statistics.intervals import Floats
from pellucid.statistics.multiple import holm
from pellucid.statistics.paired_ranks import small_sample_signed_rank
from pellucid.study.effects import Effects, simulate_choices, simulate_ratings
from pellucid.study.plan import CHOICE
from pellucid.study.table import ROLES

Contrast: TypeAlias = tuple[str, str, str]
"""Question, first model, second model."""


@dataclass(frozen=True)
class Simulated:
    """What the planned tests use, of many simulated studies: a number for each question, participant and model.

    Attributes
    ----------
    contrasts
        The family, in the order of the p-values.
    differences
        [contrasts, repeats, participants], first minus second.
    """

    contrasts: list[Contrast]
    differences: Floats


def simulate_studies(effects: Effects, *, participants: int, images: int, repeats: int, seed: int) -> Simulated:
    """Simulate `repeats` studies of `participants` people, `images` images, every question, and the choices.

    Raises
    ------
    BadInput
        If the questions do not have the same models.
    """
    models = list(next(iter(effects.values())).means)
    if any(list(effect.means) != models for effect in effects.values()):
        raise BadInput("all questions of a simulated study need the same models in the same order")
    generator = np.random.default_rng(seed)
    rated = {
        name: simulate_ratings(effect, (repeats, participants, images), generator) for name, effect in effects.items()
    }
    chosen = simulate_choices(list(rated.values()), generator)
    tables = {name: values.mean(axis=2) for name, values in rated.items()}
    tables[CHOICE] = (chosen[..., None] == np.arange(len(models))).mean(axis=2)
    order = sorted(range(len(models)), key=lambda place: _rank(models[place]))
    contrasts, differences = [], []
    for question, table in tables.items():
        for second, first in combinations(order, 2):
            contrasts.append((question, models[first], models[second]))
            differences.append(np.round(table[..., first] - table[..., second], 9))
    return Simulated(contrasts, np.array(differences))


def rejections(simulated: Simulated, participants: int, *, alpha: float = 0.05) -> Any:
    """Which contrasts Holm's procedure rejects, with the first so many participants: bool [repeats, contrasts]."""
    values = simulated.differences[:, :, :participants]
    p = [[small_sample_signed_rank(one).p for one in contrast] for contrast in values]
    return np.array([holm(row) for row in np.array(p).T]) < alpha


@dataclass(frozen=True)
class Search:
    """What a planned number of participants must achieve.

    Attributes
    ----------
    power, alpha
        Of each required contrast; family-wise over all contrasts of all questions and of the choice.
    smallest
        Contrasts of ratings whose means differ by less are not required to be found.
    repeats
        Simulated studies; the standard error of a power is at most 0.5 / √repeats.
    most
        Where to stop looking.
    """

    power: float = 0.8
    smallest: float = 0.2
    alpha: float = 0.05
    repeats: int = 400
    most: int = 300


def planned_participants(effects: Effects, search: Search, *, images: int, seed: int = 0) -> dict[str, Any]:
    """The smallest number of participants at which each contrast that matters is found with the wanted power.

    Returns
    -------
    dict
        `participants` (None if more than `most` are needed), and `curve`: the power of every contrast at the numbers
        of participants that were tried.

    Raises
    ------
    BadInput
        If no two models differ by as much as matters.
    """
    required = _required(effects, search.smallest)
    simulated = simulate_studies(effects, participants=search.most, images=images, repeats=search.repeats, seed=seed)
    places = [k for k, (name, *pair) in enumerate(simulated.contrasts) if (name, frozenset(pair)) in required]
    tried: dict[int, Floats] = {}

    def enough(participants: int) -> bool:
        tried[participants] = rejections(simulated, participants, alpha=search.alpha).mean(axis=0)
        return bool(tried[participants][places].min() >= search.power)

    return {
        "participants": _smallest(enough, search.most),
        **asdict(search),
        "images": images,
        "seed": seed,
        "required": [list(simulated.contrasts[k]) for k in places],
        "contrasts": [list(one) for one in simulated.contrasts],
        "curve": [{"participants": n, "power": tried[n].tolist()} for n in sorted(tried)],
    }


def power_lines(found: dict[str, Any]) -> list[str]:
    """The plan for the terminal: the number, and the power of every contrast at it (or at the most that was tried)."""
    number = found["participants"]
    at = next(row for row in found["curve"] if row["participants"] == (number or found["curve"][-1]["participants"]))
    head = f"{number} participants" if number else f"more than {found['most']} participants"
    lines = [
        f"{head} × {found['images']} images, for a power of {found['power']:g} in every contrast that matters "
        f"(means {found['smallest']:g} apart or more; family-wise error {found['alpha']:g}; "
        f"{found['repeats']} simulations)",
        f"power with {at['participants']} participants:",
    ]
    for contrast, power in zip(found["contrasts"], at["power"], strict=True):
        mark = "" if contrast in found["required"] else "  (not required)"
        lines.append(f"  {contrast[0]}, {contrast[1]} against {contrast[2]}: {power:.2f}{mark}")
    return lines


def _required(effects: Effects, smallest: float) -> set[tuple[str, frozenset[str]]]:
    found = {
        (name, frozenset(pair))
        for name, effect in effects.items()
        for pair in combinations(effect.means, 2)
        if abs(effect.means[pair[0]] - effect.means[pair[1]]) >= smallest
    }
    if not found:
        raise BadInput(f"no two models differ by {smallest:g} or more, so there is nothing to plan for")
    return found


def _smallest(enough: Any, most: int) -> int | None:
    """Smallest number from 2 to `most` that is enough, by doubling and halving; None if `most` is not."""
    low, high = 1, 8
    while high < most and not enough(high):
        low, high = high, 2 * high
    high = min(high, most)
    if high == most and not enough(most):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _rank(model: str) -> tuple[int, str]:
    return (ROLES.index(model), "") if model in ROLES else (len(ROLES), model)
