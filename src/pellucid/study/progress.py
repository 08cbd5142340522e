"""How a study is getting on, told without the key: nobody who looks at it learns which model does better."""

from collections import Counter
from dataclasses import dataclass

from sqlalchemy import func, select

from pellucid.study.exporting import Row, rows
from pellucid.study.participants import INACTIVE_AFTER, stage_of
from pellucid.study.protocol import Study
from pellucid.study.store import Answer, Participant, State, Store


@dataclass(frozen=True)
class Person:
    """One participant in the list of the admin page; `at` is the block or page on which they are."""

    code: str
    state: str
    at: str
    answered: int
    trials: int
    checks_failed: int
    checks_seen: int
    cell: int | None
    invited: bool


@dataclass(frozen=True)
class Progress:
    """Numbers of the admin page.

    Attributes
    ----------
    stages
        How many participants are at each stage; ``invited`` have not opened their link, ``away`` were not heard of for
        a while.
    cells
        Finished sessions and those under way, by cell.
    answers
        Answered questions by kind of question, over all stimuli.
    """

    closed: bool
    open_limit: int
    stages: dict[str, int]
    cells: list[tuple[int, int]]
    answers: dict[str, int]
    people: list[Person]

    @property
    def stopped(self) -> dict[str, int]:
        """On which page or in which block those who are away stopped."""
        return dict(Counter(person.at for person in self.people if person.state == "away"))


def progress(store: Store, study: Study, *, now: float, inactive_after: float = INACTIVE_AFTER) -> Progress:
    """Everything the admin page shows."""
    given, _ = rows(store)
    checks = [row for row in given if row["block"] == "attention"]
    with store.reading() as session:
        state = session.scalars(select(State)).one()
        closed, limit = state.closed, state.open_limit
        everybody = session.scalars(select(Participant).order_by(Participant.id)).all()
        counting = select(Answer.participant_id, func.count(Answer.trial.distinct())).group_by(Answer.participant_id)
        counts = dict(session.execute(counting).all())
        session.expunge_all()
    people = [
        _person(
            one, counts.get(one.id, 0), [row for row in checks if row["participant"] == one.code], now, inactive_after
        )
        for one in everybody
    ]
    filled = Counter(person.cell for person in people if person.state == "finished")
    running = Counter(person.cell for person in people if person.state == "under way")
    return Progress(
        closed=closed,
        open_limit=limit,
        stages=dict(Counter(person.state for person in people)),
        cells=[(filled[cell], running[cell]) for cell in range(study.cells)],
        answers=dict(Counter(f"{row['block']}: {row['question']}" for row in given if row["block"] != "attention")),
        people=people,
    )


def _person(one: Participant, answered: int, checks: list[Row], now: float, inactive_after: float) -> Person:
    return Person(
        code=one.code,
        state=_state(one, now, inactive_after),
        at=_at(one, answered),
        answered=answered,
        trials=len(one.trials or []),
        checks_failed=sum(row["value"] != row["expected"] for row in checks),
        checks_seen=len(checks),
        cell=one.cell,
        invited=one.invited_at is not None,
    )


def _state(one: Participant, now: float, inactive_after: float) -> str:
    stage = stage_of(one)
    if stage == "consent":
        return "invited"
    if stage in {"done", "forgotten"}:
        return {"done": "finished"}.get(stage, stage)
    if now - (one.seen_at or 0) > inactive_after:
        return "away"
    return "under way" if stage == "trials" else "starting"


def _at(one: Participant, answered: int) -> str:
    trials = one.trials or []
    return str(trials[answered]["block"]) if answered < len(trials) else stage_of(one)


def set_state(store: Store, *, closed: bool | None = None, open_limit: int | None = None) -> None:
    """Close the study to newcomers or open it again; change how many the open link lets in."""
    with store.writing() as session:
        state = store.state(session)
        state.closed = state.closed if closed is None else closed
        state.open_limit = state.open_limit if open_limit is None else open_limit
