"""Connections that lose nothing: what is committed is on the disk, and writers wait for each other in turn."""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, select
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.orm import Session

from pellucid.errors import BadInput
from pellucid.study.store.migrating import migrate
from pellucid.study.store.models import Participant, State

ANSWERS = "answers.db"
PRAGMAS = {
    "journal_mode": "WAL",
    "synchronous": "FULL",  # an answer that was acknowledged survives a power cut
    "busy_timeout": 15_000,
    "foreign_keys": "ON",
    "secure_delete": "ON",  # what is forgotten is overwritten
}


_Result = TypeVar("_Result")


class _Job(Generic[_Result]):
    """Work that waits for its turn, and what came of it."""

    def __init__(self, work: Callable[[Session], _Result]) -> None:
        self.work = work
        self.done = False
        self.error: Exception | None = None
        self._returned: list[_Result] = []

    def run(self, session: Session) -> None:
        """Do the work in a savepoint."""
        try:
            with session.begin_nested():
                self._returned = [self.work(session)]
        except Exception as error:
            self.error = error

    def result(self) -> _Result:
        """What the work returned, or the error that it raised."""
        if self.error is not None:
            raise self.error
        return self._returned[0]


class Store:
    """A database of answers. Use :meth:`reading` and :meth:`writing`, one short block each."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._sqlite = engine.dialect.name == "sqlite"
        self._turn = threading.Lock()
        self._waiting: deque[_Job[Any]] = deque()

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that sees one state of the database and changes nothing."""
        with Session(self.engine) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A transaction: committed, and on the disk, when the block ends; nothing of it happened if the block fails.

        SQLite knows one writer at a time and lets others poll; a lock in front hands over at once and in turn.
        """
        with self._turn if self._sqlite else nullcontext(), self._transaction() as session:
            yield session

    def together(self, work: Callable[[Session], _Result]) -> _Result:
        """What `work` returns, once all that it wrote is on the disk; nothing of it happened if it raises.

        With SQLite, whoever gets the turn does the work of all who wait for it, each in a savepoint of its own, and
        the disk is waited for once.
        """
        if not self._sqlite:
            with self._transaction() as session:
                return work(session)
        job = _Job(work)
        self._waiting.append(job)
        with self._turn:
            if not job.done:
                self._do([self._waiting.popleft() for _ in range(len(self._waiting))])
        return job.result()

    def _do(self, jobs: "list[_Job[Any]]") -> None:
        try:
            with self._transaction() as session:
                for job in jobs:
                    job.run(session)
        except Exception as error:  # the commit failed, so nobody's work happened
            for job in jobs:
                job.error = error
        for job in jobs:
            job.done = True

    @contextmanager
    def _transaction(self) -> Iterator[Session]:
        bound = self.engine.execution_options(writing=True)
        with Session(bound, expire_on_commit=False) as session, session.begin():
            yield session

    def state(self, session: Session) -> State:
        """The study's state, locked until the transaction ends: whoever takes it first is alone in its decision."""
        found = session.scalar(select(State).where(State.id == 1).with_for_update())
        if found is None:
            raise BadInput("the database holds no study state; it was not made by pellucid study serve")
        return found

    def participant(self, session: Session, code: str) -> Participant | None:
        """A participant, locked until the transaction ends."""
        return session.scalar(select(Participant).where(Participant.code == code).with_for_update())

    def close(self) -> None:
        """Give back all connections."""
        self.engine.dispose()


def database_url(folder: Path, url: str | None = None) -> str:
    """`url` with the driver that Pellucid brings along; the SQLite file of the study without one."""
    if url is None:
        return f"sqlite:///{(folder / ANSWERS).absolute()}"
    for prefix in ("postgresql://", "postgres://"):
        if url.startswith(prefix):
            return f"postgresql+psycopg://{url.removeprefix(prefix)}"
    if not url.startswith(("sqlite:///", "postgresql+psycopg://")):
        raise BadInput("--db takes a URL like postgresql://user:password@host/name or sqlite:///path/to/answers.db")
    return url


def open_store(folder: Path, url: str | None = None) -> Store:
    """The database of the study in `folder`, brought to the present version.

    Raises
    ------
    BadInput
        If the URL cannot be used or the database not be reached; a password in the URL is not repeated.
    """
    address = database_url(folder, url)
    try:
        engine = _engine(address)
        migrate(engine)
    except (SQLAlchemyError, ArgumentError, OSError) as error:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()
        raise BadInput(f"cannot open the database of the answers: {reason[0] if reason else error}") from error
    return Store(engine)


def _engine(address: str) -> Engine:
    if not address.startswith("sqlite"):
        return create_engine(
            address, pool_size=20, max_overflow=20, pool_timeout=10, pool_pre_ping=True, hide_parameters=True
        )
    path = Path(address.removeprefix("sqlite:///"))
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # only its owner may read what people answered
    engine = create_engine(address, pool_size=10, max_overflow=40, pool_timeout=15, hide_parameters=True)
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    return engine


def _configure(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # transactions begin where `_begin` says so
    for name, value in PRAGMAS.items():
        connection.execute(f"PRAGMA {name}={value}")


def _begin(connection: Connection) -> None:
    # A transaction that begins as a reader and then writes can fail at once if somebody wrote between.
    writing = connection.get_execution_options().get("writing", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")
