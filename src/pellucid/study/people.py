"""Simulated participants who know what they think of every stimulus before they are asked."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pellucid.study.effects import Effects, read_effects, simulate_choices, simulate_ratings
from pellucid.study.key import key_path, open_key
from pellucid.study.plan import CHOICE
from pellucid.study.protocol import Study, read_study
from pellucid.study.table import Key, models_of

if TYPE_CHECKING:  # httpx waits
    from pellucid.study.simulate import Asked


@dataclass(frozen=True)
class People:
    """Opinions of simulated people.

    Attributes
    ----------
    place
        Image and model of each stimulus, as numbers.
    rated
        By question: ratings [people, images, models].
    preferred
        The model each person chooses for each image [people, images].
    right
        The right answer to each attention check.
    """

    place: dict[str, tuple[int, int]]
    rated: dict[str, npt.NDArray[np.int8]]
    preferred: npt.NDArray[np.int64]
    right: Mapping[str, int]

    def answer(self, asked: "Asked", _: random.Random) -> dict[str, int]:
        """What the person answers to a trial, in the form that :func:`pellucid.study.simulate.simulate` asks for."""
        if asked.block == "choice":
            return {CHOICE: self._preferred_place(asked.person, asked.shown)}
        return {question: self._value(asked.person, asked.stimulus, question) for question in asked.questions}

    def _value(self, person: int, stimulus: str, question: str) -> int:
        """A rating; the right answer to a check; the middle of the scale for a training trial."""
        if question in self.right:
            return self.right[question]
        if stimulus not in self.place:
            return 3
        image, model = self.place[stimulus]
        return int(self.rated[question][person, image, model])

    def _preferred_place(self, person: int, shown: Sequence[str]) -> int:
        """The place on the screen, from 1, of the stimulus that the person prefers."""
        chosen = (self.place[stimulus][1] == self.preferred[person, self.place[stimulus][0]] for stimulus in shown)
        return next((place for place, found in enumerate(chosen, start=1) if found), 1)


def simulate_people(study: Study, key: Key, effects: Effects, *, people: int, seed: int) -> People:
    """People whose opinions of the study's stimuli follow `effects` (one a question, all models of the key)."""
    models = list(next(iter(effects.values())).means)
    place = {
        stimulus: (number, models.index(key[stimulus]))
        for number, item in enumerate(study.images)
        for stimulus in item.orders[0]
    }
    generator = np.random.default_rng(seed)
    shape = (1, people, len(study.images))
    rated = {question: simulate_ratings(effect, shape, generator) for question, effect in effects.items()}
    preferred = simulate_choices(list(rated.values()), generator)[0]
    right = {check.id: check.expected for check in study.attention}
    return People(place, {question: values[0] for question, values in rated.items()}, preferred, right)


def read_people(folder: Path, effect: str, key: Path | None, *, people: int, seed: int) -> People:
    """People for the study in `folder`, with the effects of that name; the key says which stimulus is whose.

    For a dry run: opening the key here is not recorded, so use a copy of the study.
    """
    study = read_study(folder)
    opened = open_key(key or key_path(folder), study.key_sha256)
    behind = {name: sealed.model for name, sealed in opened.stimuli.items()}
    effects = read_effects(effect, models_of(behind), [question.id for question in study.questions])
    return simulate_people(study, behind, effects, people=people, seed=seed)
