"""Rows of the export as numbers: who rated which image under which model how, and who chose which model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from pellucid.errors import BadInput
from pellucid.statistics.clusters import ratio
from pellucid.statistics.intervals import Floats
from pellucid.study.exclusions import Row
from pellucid.study.protocol import POINTS

Places: TypeAlias = npt.NDArray[np.int64]
Key: TypeAlias = Mapping[str, str]
"""The model behind each stimulus."""

ROLES = ("N", "A", "G", "M1", "M2", "I", "P")


@dataclass(frozen=True)
class Ratings:
    """The ratings of one question, one entry an answer.

    Attributes
    ----------
    participants, images, models, stimuli
        Names; the columns hold places in them. Every analysed participant is listed, also one without a rating.
    participant, image, model, stimulus
        [n] int64.
    value
        [n] float64, 1 to 5.
    """

    participants: list[str]
    images: list[str]
    models: list[str]
    stimuli: list[str]
    participant: Places
    image: Places
    model: Places
    stimulus: Places
    value: Floats

    def cube(self) -> Floats:
        """Mean rating [participants, images, models], NaN where missing (one rating each, unless arms have twins)."""
        shape = (len(self.participants), len(self.images), len(self.models))
        total, number = np.zeros(shape), np.zeros(shape)
        place = (self.participant, self.image, self.model)
        np.add.at(total, place, self.value)
        np.add.at(number, place, 1)
        return ratio(total, number)

    def of(self, model: int) -> Floats:
        """All ratings of one model [n]."""
        return np.asarray(self.value[self.model == model])

    def counts(self) -> Floats:
        """How often each participant gave each model each rating: [participants, models, 5]."""
        found = np.zeros((len(self.participants), len(self.models), POINTS))
        np.add.at(found, (self.participant, self.model, self.value.astype(np.int64) - 1), 1)
        return found

    def by_stimulus(self) -> Floats:
        """Ratings [participants, stimuli], NaN where missing."""
        found = np.full((len(self.participants), len(self.stimuli)), np.nan)
        found[self.participant, self.stimulus] = self.value
        return found


def models_of(key: Key) -> list[str]:
    """The models of a study: the project's roles in their usual order, then all others by name."""
    names = sorted(set(key.values()))
    return [role for role in ROLES if role in names] + [name for name in names if name not in ROLES]


def ratings(answers: Sequence[Row], question: str, key: Key, participants: Sequence[str]) -> Ratings:
    """The ratings of `question` by the participants that are analysed.

    Raises
    ------
    BadInput
        If a rating is not 1 to 5, a stimulus is not in the key, or a participant rated a stimulus twice.
    """
    people = {name: place for place, name in enumerate(participants)}
    rows = [row for row in answers if row["block"] == "rating" and row["question"] == question]
    rows = [row for row in rows if row["participant"] in people]
    models = models_of(key)
    images = sorted({str(row["image"]) for row in rows})
    stimuli = sorted({row["stimulus"] for row in rows})
    _check_once(rows)
    return Ratings(
        list(participants),
        images,
        models,
        stimuli,
        _places([row["participant"] for row in rows], list(participants)),
        _places([str(row["image"]) for row in rows], images),
        _places([model_behind(row, key) for row in rows], models),
        _places([row["stimulus"] for row in rows], stimuli),
        np.array([_rating(row) for row in rows], dtype=np.float64),
    )


def choices(answers: Sequence[Row], key: Key, participants: Sequence[str]) -> Floats:
    """How often each participant chose each model: [participants, models]. Errors as for ratings."""
    people = {name: place for place, name in enumerate(participants)}
    models = models_of(key)
    found = np.zeros((len(people), len(models)))
    for row in answers:
        if row["block"] == "choice" and row["participant"] in people and row["stimulus"]:
            found[people[row["participant"]], models.index(model_behind(row, key))] += 1
    return found


def reasons(answers: Sequence[Row], key: Key, participants: Sequence[str]) -> dict[str, list[str]]:
    """What the participants that are analysed wrote about their choices, by the model chosen; empty texts left out."""
    people = set(participants)
    found: dict[str, list[str]] = {model: [] for model in models_of(key)}
    for row in answers:
        text = str(row.get("reason") or "").strip()
        if row["block"] == "choice" and row["participant"] in people and row["stimulus"] and text:
            found[model_behind(row, key)].append(text)
    return found


def model_behind(row: Row, key: Key) -> str:
    """The model of a row's stimulus. Raises BadInput if the key does not know it."""
    if row["stimulus"] not in key:
        raise BadInput(f"{_where(row)}: the stimulus '{row['stimulus']}' is not in the key; is it another study's?")
    return key[row["stimulus"]]


def _rating(row: Row) -> float:
    text = str(row["value"])
    if text not in {str(value) for value in range(1, POINTS + 1)}:
        raise BadInput(f"{_where(row)}: the rating is '{text}', not a whole number from 1 to {POINTS}")
    return float(text)


def _check_once(rows: Sequence[Row]) -> None:
    seen = set()
    for row in rows:
        answer = (row["participant"], row["stimulus"])
        if answer in seen:
            raise BadInput(
                f"{_where(row)}: the stimulus '{row['stimulus']}' is rated twice; keep the final answer only"
            )
        seen.add(answer)


def _where(row: Row) -> str:
    return f"answers, participant {row['participant']}, trial {row['trial']}, question '{row['question']}'"


def _places(names: Sequence[str], known: Sequence[str]) -> Places:
    order = {name: place for place, name in enumerate(known)}
    return np.array([order[name] for name in names], dtype=np.int64)
