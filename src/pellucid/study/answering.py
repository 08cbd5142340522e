"""Saving an answer: checked, once, in order, and never changed afterwards."""

from collections.abc import Mapping
from typing import Annotated, Any, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictInt, StringConstraints
from sqlalchemy import Row, Table, bindparam, func, insert, select, update
from sqlalchemy.orm import Session

from pellucid.study.design import Trial
from pellucid.study.participants import Unknown
from pellucid.study.protocol import POINTS, Study
from pellucid.study.store import Answer, Participant, Store


def storable(text: str) -> str:
    """The text without what no database keeps (NUL), and with nothing that is no character (half a surrogate pair)."""
    text.encode("utf-8")  # a UnicodeEncodeError is a ValueError: pydantic calls it wrong input
    return text.replace("\x00", "")


Text = Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(storable)]


class Given(BaseModel):
    """An answer as a browser sends it.

    Attributes
    ----------
    key
        Made by the browser when the answer was given; sent again with the same key, it is the same answer.
    values
        Question → 1 … 5, or for a choice the place on the screen from 1.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: Annotated[str, StringConstraints(pattern=r"^[0-9a-zA-Z-]{16,64}$")]
    trial: StrictInt = Field(ge=0, le=100_000)
    values: dict[Annotated[str, StringConstraints(max_length=40)], StrictInt] = Field(max_length=20)
    reason: Annotated[Text, Field(max_length=4000)] = ""
    milliseconds: StrictInt = Field(0, ge=0, le=10**12)


class Saved(BaseModel):
    """What the browser is told: how many trials are answered, of how many."""

    answered: int
    total: int


class Refused(ValueError):
    """The answer is wrong for its trial; nothing was changed."""


class OutOfTurn(ValueError):
    """The trial cannot be answered now: those before it are not, or the session is over. Nothing was changed."""


def save(store: Store, study: Study, code: str, given: Given, *, now: float) -> Saved:
    """Store an answer and, with the last one, the end of the session, in one transaction.

    Raises
    ------
    Unknown
        If there is no such participant, or not any more.
    OutOfTurn, Refused
        See there.
    """
    return store.together(lambda session: _save(session, code, study, given, now))


# Done thousands of times, by many at once: plain statements, since objects would cost more than all else.
_PERSON = (
    select(Participant.id, Participant.begun_at, Participant.finished_at, Participant.forgotten_at, Participant.trials)
    .where(Participant.code == bindparam("code"))
    .with_for_update()
)
_BEFORE = select(Answer.key, Answer.trial).where(Answer.participant_id == bindparam("person"))
_KEEP = insert(cast("Table", Answer.__table__))
_SEEN = update(cast("Table", Participant.__table__)).where(Participant.id == bindparam("person"))


def _save(session: Session, code: str, study: Study, given: Given, now: float) -> Saved:
    person = session.execute(_PERSON, {"code": code}).one_or_none()
    if person is None or person.forgotten_at is not None:
        raise Unknown(code)
    total = len(person.trials or [])
    before = session.execute(_BEFORE, {"person": person.id}).all()
    done = {trial for _, trial in before}
    if given.key in {key for key, _ in before}:
        return Saved(answered=len(done), total=total)
    check(study, _in_turn(person, given.trial, len(done)), given)
    session.execute(_KEEP, _row(person, given, now))
    done.add(given.trial)
    ended = {"finished_at": now} if len(done) == total else {}
    session.execute(_SEEN.values(seen_at=now, **ended), {"person": person.id})
    return Saved(answered=len(done), total=total)


def _in_turn(person: Row[Any], place: int, done: int) -> Trial:
    """The trial at a place that may be answered: the next one, or one that was answered before."""
    if not person.trials:
        raise OutOfTurn("the trials have not begun")
    if person.finished_at is not None:
        raise OutOfTurn("the session is over")
    if place > done:
        raise OutOfTurn("earlier trials come first")
    return Trial.model_validate(person.trials[place])


def _row(person: Row[Any], given: Given, now: float) -> dict[str, Any]:
    longest = max(0, round(1000 * (now - person.begun_at)))
    return {
        "participant_id": person.id,
        "trial": given.trial,
        "key": given.key,
        "values": given.values,
        "reason": given.reason,
        "milliseconds": min(given.milliseconds, longest, 2**31 - 1),
        "saved_at": now,
    }


def answered(session: Session, participant_id: int) -> int:
    """How many trials have an answer; they are the first ones, because answers come in order."""
    counting = select(func.count(Answer.trial.distinct())).where(Answer.participant_id == participant_id)
    return session.scalar(counting) or 0


def allowed(study: Study, trial: Trial) -> Mapping[str, int]:
    """The questions of a trial, and the largest value of each; the smallest is 1."""
    if trial.block == "choice":
        return {"choice": len(trial.shown)}
    if trial.block == "attention":
        return {trial.check: POINTS}
    return {question.id: POINTS for question in study.questions}


def check(study: Study, trial: Trial, given: Given) -> None:
    """Refuse anything but one value in range for each question of the trial. Raises Refused."""
    most = allowed(study, trial)
    if given.values.keys() != most.keys():
        raise Refused("these are not the questions of this trial")
    if not all(1 <= value <= most[question] for question, value in given.values.items()):
        raise Refused("a value is out of range")
    if trial.block != "choice" and given.reason:
        raise Refused("this trial asks for no reason")
    if trial.block == "choice" and study.choice.reason_required and not given.reason:
        raise Refused("the reason is missing")


def latest(answers: list[Any]) -> dict[int, Any]:
    """The valid answer of each trial, from all of a participant in the order of their ids."""
    return {answer.trial: answer for answer in answers}
