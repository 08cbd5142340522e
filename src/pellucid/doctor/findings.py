"""What a check says, and what makes a function a check."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pellucid.doctor.case import Case

Status = Literal["problem", "warning", "ok", "not applicable"]
STATUSES: tuple[Status, ...] = ("problem", "warning", "not applicable", "ok")
"""The worst first, as they are shown."""


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes
    ----------
    check
        Its name in ``pellucid.doctor.checks``.
    status
        "problem": numbers measured like this would be wrong. "warning": they may be, or training will suffer. "ok".
        "not applicable": nothing could be said; `finding` says why.
    finding
        One sentence with the numbers seen.
    why, mend
        Why it matters, and what to do about it, in one line each.
    """

    check: str
    status: Status
    finding: str
    why: str
    mend: str


@dataclass(frozen=True)
class Seen:
    """What the function of a check returns; `mend` where it knows a better one than the check's own."""

    status: Status
    sentence: str
    mend: str | None = None


def ok(sentence: str) -> Seen:
    """Nothing to mend."""
    return Seen("ok", sentence)


def warning(sentence: str, mend: str | None = None) -> Seen:
    """Numbers may be wrong, or training will suffer."""
    return Seen("warning", sentence, mend)


def problem(sentence: str, mend: str | None = None) -> Seen:
    """Numbers measured like this would be wrong."""
    return Seen("problem", sentence, mend)


class NotApplicable(Exception):
    """Raised where a check cannot say anything about this case; the message says why."""


@dataclass(frozen=True)
class Check:
    """A function with its name, what it looks at (the first line of its docstring), why, and the usual mend."""

    name: str
    looks_at: str
    why: str
    mend: str
    look: "Callable[[Case], Seen]"

    def __call__(self, case: "Case") -> Finding:
        """The finding; a crash of the check is one, too, and never an exception."""
        try:
            seen = self.look(case)
        except NotApplicable as reason:
            seen = Seen("not applicable", str(reason))
        except Exception as error:  # whatever a stranger's model raises
            seen = Seen("not applicable", f"could not be made: {type(error).__name__}: {in_one_line(error)}")
        return Finding(self.name, seen.status, seen.sentence, self.why, seen.mend or self.mend)


def check(*, why: str, mend: str) -> "Callable[[Callable[[Case], Seen]], Check]":
    """Make a function of a case a check: why what it looks at matters, and the one-line mend."""

    def decorate(function: "Callable[[Case], Seen]") -> Check:
        looks_at = (function.__doc__ or "").strip().splitlines()[0].rstrip(".")
        return Check(function.__name__, looks_at, why, mend, function)

    return decorate


def in_one_line(error: object, most: int = 200) -> str:
    """The message of an error without line breaks, cut after `most` characters."""
    text = " ".join(str(error).split()) or "no message"
    return text if len(text) <= most else f"{text[: most - 1]}…"
