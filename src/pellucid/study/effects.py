"""Simulated ratings: a random-effects ordinal model with chosen means and standard deviations of the ratings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats

from pellucid.errors import BadInput
from pellucid.files import read_yaml
from pellucid.statistics.intervals import Floats
from pellucid.study.protocol import POINTS

_CUTS = np.arange(1, POINTS) + 0.5


@dataclass(frozen=True)
class Effect:
    """How one question is answered.

    A latent judgement is normal and rounded to 1 … 5. Its variance comes, by the given shares, from the participant
    (severe or lenient), the image, the participant's taste for a model, and chance.

    Attributes
    ----------
    means, sds
        Mean and standard deviation of the ratings 1 to 5, by model.
    participant, image, taste
        Shares of the latent variance; what is left is chance.
    """

    means: Mapping[str, float]
    sds: Mapping[str, float]
    participant: float = 0.25
    image: float = 0.1
    taste: float = 0.1

    def __post_init__(self) -> None:
        shares = (self.participant, self.image, self.taste)
        if min(shares) < 0 or sum(shares) > 1:
            raise BadInput(f"shares of the variance lie in [0, 1] and sum to at most 1; got {shares}")
        if set(self.means) != set(self.sds) or not self.means:
            raise BadInput("an effect needs a mean and a standard deviation for every model")


# T3S, table 4: mean and standard deviation of the ratings of 65 participants.
PUBLISHED: Mapping[str, Effect] = {
    "sufficiency": Effect({"N": 2.08, "A": 2.99, "G": 3.33}, {"N": 0.75, "A": 0.93, "G": 1.03}),
    "trust": Effect({"N": 2.02, "A": 3.08, "G": 3.14}, {"N": 0.82, "A": 0.90, "G": 1.01}),
}
Effects: TypeAlias = Mapping[str, Effect]
"""One effect a question."""


def no_effect(
    models: tuple[str, ...] = ("N", "A", "G"), questions: tuple[str, ...] = ("sufficiency", "trust")
) -> Effects:
    """All models rated alike, 3 ± 1 on average."""
    return {question: Effect(dict.fromkeys(models, 3.0), dict.fromkeys(models, 1.0)) for question in questions}


def read_effects(name: str, models: Sequence[str], questions: Sequence[str]) -> Effects:
    """The effects called `name`: "published" (T3S, table 4), "none", or those in a YAML file.

    The file holds, by question, the fields of :class:`Effect`, as in
    ``sufficiency: {means: {N: 2.1, G: 3.3}, sds: {N: 0.8, G: 1.0}}``.

    Raises
    ------
    BadInput
        If there is no such file, or it does not have an effect for every model and question.
    """
    found = no_effect(tuple(models), tuple(questions)) if name == "none" else all_effects(name)
    for question in questions:
        if question not in found:
            raise BadInput(f"the effects '{name}' say nothing about the question '{question}'")
        missing = [model for model in models if model not in found[question].means]
        if missing:
            raise BadInput(f"the effects '{name}' say nothing about the model '{missing[0]}' in '{question}'")
    return {question: _of_models(found[question], models) for question in questions}


def all_effects(name: str) -> Effects:
    """The effects called `name` for all the questions and models they have. Errors as for :func:`read_effects`."""
    if name == "none":
        return no_effect()
    return PUBLISHED if name == "published" else _read(Path(name))


def _of_models(effect: Effect, models: Sequence[str]) -> Effect:
    means, sds = ({model: table[model] for model in models} for table in (effect.means, effect.sds))
    return replace(effect, means=means, sds=sds)


def _read(path: Path) -> dict[str, Effect]:
    if not path.is_file():
        raise BadInput(f"--effect is 'published', 'none' or a YAML file; there is no file {path}")
    found = read_yaml(path)
    try:
        return {str(question): Effect(**given) for question, given in found.items()}
    except (AttributeError, TypeError) as error:
        raise BadInput(f"{path} should hold, by question, means, sds and shares of the variance ({error})") from error


def simulate_ratings(
    effect: Effect, shape: tuple[int, int, int], generator: np.random.Generator
) -> npt.NDArray[np.int8]:
    """Ratings [repeats, participants, images, models] of one question; `shape` is all but the last."""
    latent = [_latent(effect.means[model], effect.sds[model]) for model in effect.means]
    centre, spread = (np.array(column) for column in zip(*latent, strict=True))
    repeats, participants, images = shape
    rest = 1 - effect.participant - effect.image - effect.taste
    models = len(latent)
    noise = generator.standard_normal((*shape, models), dtype=np.float32) * np.sqrt(max(rest, 0.0))
    noise += generator.standard_normal((repeats, participants, 1, 1)) * np.sqrt(effect.participant)
    noise += generator.standard_normal((repeats, 1, images, 1)) * np.sqrt(effect.image)
    noise += generator.standard_normal((repeats, participants, 1, models)) * np.sqrt(effect.taste)
    ratings: npt.NDArray[np.int8] = np.clip(np.rint(centre + spread * noise), 1, POINTS).astype(np.int8)
    return ratings


def simulate_choices(ratings: list[npt.NDArray[np.int8]], generator: np.random.Generator) -> npt.NDArray[np.int64]:
    """The model chosen for each image [repeats, participants, images]: the one rated highest over all questions.

    Ties are broken at random.
    """
    total = np.sum([one.astype(np.float32) for one in ratings], axis=0)
    chosen: npt.NDArray[np.int64] = np.argmax(total + generator.random(total.shape, dtype=np.float32) * 0.5, axis=-1)
    return chosen


@lru_cache(maxsize=64)
def _latent(mean: float, sd: float) -> tuple[float, float]:
    """Centre and spread of the normal whose rounded, clipped values have this mean and standard deviation."""

    def miss(parameters: Floats) -> list[float]:
        found = _moments(parameters[0], float(np.exp(parameters[1])))
        return [found[0] - mean, found[1] - sd]

    found = optimize.root(miss, [mean, np.log(max(sd, 0.05))])
    if not found.success or not 1 < mean < POINTS or np.abs(miss(found.x)).max() > 1e-6:
        raise BadInput(f"no such ratings: a mean of {mean:g} with a standard deviation of {sd:g} on 1 to {POINTS}")
    return float(found.x[0]), float(np.exp(found.x[1]))


def chances(mean: float, sd: float) -> Floats:
    """How often each rating 1 to 5 occurs at this mean and standard deviation: [5]."""
    return _rounded(*_latent(mean, sd))


def _rounded(centre: float, spread: float) -> Floats:
    return np.diff(np.concatenate([[0.0], stats.norm.cdf((_CUTS - centre) / spread), [1.0]]))


def _moments(centre: float, spread: float) -> tuple[float, float]:
    chance, values = _rounded(centre, spread), np.arange(1, POINTS + 1)
    mean = float(chance @ values)
    return mean, float(np.sqrt(max(chance @ np.square(values - mean), 0.0)))
