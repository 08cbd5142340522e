"""How somebody gets into the study, goes on in it, and gets out of it again."""

import secrets
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import delete, func, or_, select
from sqlalchemy.orm import Session

from pellucid.errors import BadInput
from pellucid.study.design import least_filled, trials_of
from pellucid.study.protocol import Study
from pellucid.study.store import Answer, Participant, State, Store

INACTIVE_AFTER = 30 * 60.0
"""Seconds without a word after which an open session no longer counts as under way in the balance of the cells."""

Stage = Literal["consent", "demographics", "instructions", "trials", "done", "forgotten"]


class NotLetIn(Exception):
    """The study is closed or full, or somebody with this external id has started elsewhere."""

    def __init__(self, reason: Literal["closed", "full", "twice"]) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Visit:
    """What a link carries from a recruiting service, and the kind of device."""

    external: str | None = None
    visit: str | None = None
    device: Literal["phone", "desktop"] = "desktop"


def stage_of(person: Participant) -> Stage:
    """Where somebody stands."""
    if person.forgotten_at is not None:
        return "forgotten"
    if person.consented_at is None:
        return "consent"
    if person.finished_at is not None:
        return "done"
    if person.begun_at is not None:
        return "trials"
    return "demographics" if person.demographics is None else "instructions"


def let_in(store: Store, visit: Visit, *, ticket: str, now: float) -> str:
    """Take somebody in who came by the open link and agreed; the code of the new participant.

    The same `ticket` (a secret of the browser, made with the consent page) is the same person pressing twice; the same
    external id with the same visit is the same person again. Both go on where they were.

    Raises
    ------
    NotLetIn
        If the study is closed or full, or the external id is known from another visit.
    """
    with store.writing() as session:
        store.state(session)
        known = session.scalar(select(Participant.code).where(Participant.ticket == ticket)) or _known(session, visit)
        if known is not None:
            return known
        _refuse_newcomers(session, open_link=True)
        person = _new(session, ticket=ticket, device=visit.device, external=visit.external, visit=visit.visit)
        person.consented_at = person.seen_at = now
        return person.code


def check_open(store: Store, *, open_link: bool) -> None:
    """Whether anybody new is let in. Raises NotLetIn if not."""
    with store.reading() as session:
        _refuse_newcomers(session, open_link=open_link)


def _refuse_newcomers(session: Session, *, open_link: bool) -> None:
    state = session.scalars(select(State)).one()
    if state.closed:
        raise NotLetIn("closed")
    came = select(func.count()).where(Participant.invited_at.is_(None), Participant.forgotten_at.is_(None))
    if open_link and (session.scalar(came) or 0) >= state.open_limit:
        raise NotLetIn("full")


def _known(session: Session, visit: Visit) -> str | None:
    if visit.external is None:
        return None
    person = session.scalar(select(Participant).where(Participant.external == visit.external))
    if person is None:
        return None
    if visit.visit is None or not secrets.compare_digest(visit.visit.encode(), (person.visit or "").encode()):
        raise NotLetIn("twice")
    return person.code


def agree(store: Store, code: str, visit: Visit, *, now: float) -> None:
    """Note that an invited participant agreed to take part; again is no change.

    Raises
    ------
    NotLetIn
        If the study is closed, or the external id is known from somebody else.
    """
    with store.writing() as session:
        store.state(session)
        person = _present(store, session, code)
        if person.consented_at is not None:
            return
        _refuse_newcomers(session, open_link=False)
        taken = select(Participant.id).where(Participant.external == visit.external, Participant.id != person.id)
        if visit.external is not None and session.scalar(taken) is not None:
            raise NotLetIn("twice")
        person.device, person.external, person.visit = visit.device, visit.external, visit.visit
        person.consented_at = person.seen_at = now


def invite(store: Store, count: int, *, now: float) -> list[str]:
    """Codes of `count` new participants, for personal links."""
    with store.writing() as session:
        return [_new(session, invited_at=now).code for _ in range(count)]


def _new(session: Session, **facts: Any) -> Participant:
    code = f"P-{secrets.token_hex(4)}"
    while session.scalar(select(Participant.id).where(Participant.code == code)) is not None:
        code = f"P-{secrets.token_hex(4)}"
    person = Participant(code=code, **facts)
    session.add(person)
    session.flush()
    return person


def describe(store: Store, code: str, demographics: Mapping[str, Any], *, now: float) -> None:
    """Keep what somebody told about themselves; the first time counts."""
    with store.writing() as session:
        person = _present(store, session, code)
        person.seen_at = now
        if person.demographics is None and person.consented_at is not None:
            person.demographics = dict(demographics)


def begin(store: Store, study: Study, code: str, *, now: float, inactive_after: float = INACTIVE_AFTER) -> None:
    """Give somebody who has read the instructions a cell and their trials; again is no change."""
    with store.writing() as session:
        store.state(session)  # one at a time: the next one must see this one's cell
        person = _present(store, session, code)
        person.seen_at = now
        if stage_of(person) != "instructions":
            return
        filled, under_way = _cells(session, now - inactive_after)
        person.cell = least_filled(filled, under_way, study.cells)
        person.begun_at = now
        trials = trials_of(study, person.cell, seed=f"{study.seed} {person.code}")
        person.trials = [trial.model_dump() for trial in trials]


def _cells(session: Session, since: float) -> tuple[Counter[int], Counter[int]]:
    """Finished sessions by cell, and those under way that were heard of since then."""
    placed = select(Participant.cell, Participant.finished_at).where(
        Participant.cell.is_not(None),
        Participant.forgotten_at.is_(None),
        or_(Participant.finished_at.is_not(None), Participant.seen_at >= since),
    )
    filled, under_way = Counter[int](), Counter[int]()
    for cell, finished_at in session.execute(placed):
        if cell is not None:
            (under_way if finished_at is None else filled)[cell] += 1
    return filled, under_way


def heard(store: Store, code: str, *, now: float) -> None:
    """Note that somebody is back."""
    with store.writing() as session:
        _present(store, session, code).seen_at = now


def forget(store: Store, name: str, *, now: float) -> str:
    """Delete everything about a participant, named by code or external id; the code and the date remain.

    Raises
    ------
    BadInput
        If there is nobody of that name.
    """
    with store.writing() as session:
        store.state(session)
        either = or_(Participant.code == name, Participant.external == name)
        person = session.scalar(select(Participant).where(either).with_for_update())
        if person is None:
            raise BadInput(f"there is no participant '{name}'; pellucid study export lists their codes")
        session.execute(delete(Answer).where(Answer.participant_id == person.id))
        person.ticket = person.external = person.visit = person.demographics = person.trials = person.cell = None
        person.device = ""
        person.consented_at = person.begun_at = person.finished_at = person.seen_at = None
        person.forgotten_at = now
        return person.code


class Unknown(LookupError):
    """There is no such participant, or not any more."""


def _present(store: Store, session: Session, code: str) -> Participant:
    person = store.participant(session, code)
    if person is None or person.forgotten_at is not None:
        raise Unknown(code)
    return person
