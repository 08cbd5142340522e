"""The tables: participants, their answers as they came in, and the state of the study."""

from typing import Any

from sqlalchemy import JSON, Double, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """All tables of a study. Times are seconds since 1970, UTC."""


class Participant(Base):
    """One person; never their address. `code` is the only name that leaves the database without being asked for.

    Attributes
    ----------
    invited_at
        When a personal link was made; None for those who came by the open link.
    ticket
        A secret of the browser in which an open link was followed, so that pressing twice makes one participant.
    external, visit
        The ids that a recruiting service passed in its link (Prolific's PROLIFIC_PID and SESSION_ID).
    cell
        Row of the Williams design, given when the instructions have been read; `trials` are the screens that follow.
    """

    __tablename__ = "participants"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    code: Mapped[str] = mapped_column(String(16), unique=True)
    invited_at: Mapped[float | None] = mapped_column(Double)
    ticket: Mapped[str | None] = mapped_column(String(64), unique=True)
    external: Mapped[str | None] = mapped_column(String(128), unique=True)
    visit: Mapped[str | None] = mapped_column(String(128))
    device: Mapped[str] = mapped_column(String(8), default="")
    consented_at: Mapped[float | None] = mapped_column(Double)
    demographics: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    cell: Mapped[int | None] = mapped_column(index=True)
    trials: Mapped[list[dict[str, Any]] | None] = mapped_column(JSON(none_as_null=True))
    begun_at: Mapped[float | None] = mapped_column(Double)
    seen_at: Mapped[float | None] = mapped_column(Double)
    finished_at: Mapped[float | None] = mapped_column(Double)
    forgotten_at: Mapped[float | None] = mapped_column(Double)


class Answer(Base):
    """One answer as it arrived, never changed: the latest one to a trial is valid, those before it are its history.

    `key` is made by the browser when the answer is given; the same key again is the same answer again.
    """

    __tablename__ = "answers"
    __table_args__ = (
        UniqueConstraint("participant_id", "key", name="one_answer_a_key"),
        Index("answers_of_a_trial", "participant_id", "trial"),
    )

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    participant_id: Mapped[int] = mapped_column(ForeignKey("participants.id"))
    trial: Mapped[int]
    key: Mapped[str] = mapped_column(String(64))
    values: Mapped[dict[str, int]] = mapped_column(JSON)
    reason: Mapped[str] = mapped_column(Text, default="")
    milliseconds: Mapped[int]
    saved_at: Mapped[float] = mapped_column(Double)


class State(Base):
    """The one row that says whether new participants are let in, and how many through the open link."""

    __tablename__ = "state"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    closed: Mapped[bool] = mapped_column(default=False)
    open_limit: Mapped[int] = mapped_column(default=100)
