"""One thread that computes, a short queue before it, and work that nobody waits for any more left undone."""

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from threading import Event, Lock
from typing import Generic, TypeVar

log = logging.getLogger(__name__)
Result = TypeVar("Result")
Check = Callable[[], None]
"""To be called now and then by work that takes long: raises GivenUp once nobody waits for it."""


class Busy(Exception):
    """The queue is full: ask again in a moment."""


class GivenUp(Exception):
    """Nobody waits for this work any more."""


@dataclass(frozen=True)
class Task(Generic[Result]):
    """Work that waits, runs or is done."""

    future: Future[Result]
    _gone: Event

    def give_up(self) -> None:
        """Take it out of the queue, or have it stop at its next check."""
        self._gone.set()
        self.future.cancel()


class Worker:
    """Computes one thing after the other: torch's threads and matplotlib's settings are shared by the process.

    Parameters
    ----------
    most
        Tasks that may wait or run at a time.
    """

    def __init__(self, most: int = 8) -> None:
        self._most, self._held, self._lock, self._closed = most, 0, Lock(), Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="explore")

    def submit(self, work: Callable[[Check], Result]) -> Task[Result]:
        """Put work into the queue; it gets a check to call. Raises Busy if the queue is full or closed."""
        with self._lock:
            if self._held >= self._most or self._closed.is_set():
                raise Busy
            self._held += 1
        gone = Event()

        def check() -> None:
            if gone.is_set() or self._closed.is_set():
                raise GivenUp

        task = Task(self._thread.submit(work, check), gone)
        task.future.add_done_callback(self._left)
        return task

    def in_spare_time(self, steps: Iterator[None]) -> None:
        """Take the steps one by one, each behind what waits by then."""
        with suppress(RuntimeError):  # the worker is closed
            self._thread.submit(self._step, steps)

    def close(self) -> None:
        """Give up what waits and what runs."""
        self._closed.set()
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _step(self, steps: Iterator[None]) -> None:
        try:
            next(steps)
        except StopIteration:
            return
        except Exception:
            log.exception("work in spare time failed")
            return
        self.in_spare_time(steps)

    def _left(self, _: Future[Result]) -> None:
        with self._lock:
            self._held -= 1
