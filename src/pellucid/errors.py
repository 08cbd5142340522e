"""What bad input gets: one sentence that says what was wrong, where, and what to do."""

from collections.abc import Iterable
from difflib import get_close_matches


class BadInput(ValueError):
    """The user's input cannot be used. The command line prints the message as one line and exits with 2."""


class RunFailed(RuntimeError):
    """Something went wrong while running (a loss became NaN, a disk filled up). The command line exits with 1."""


def unknown_name(kind: str, name: object, valid: Iterable[str]) -> BadInput:
    """The error for a name that does not exist: which `kind` of thing was meant, and the nearest valid name."""
    options = sorted(valid)
    close = get_close_matches(str(name), options, n=1, cutoff=0.4)
    hint = f"did you mean '{close[0]}'? " if close else ""
    return BadInput(f"unknown {kind} '{name}': {hint}valid: {', '.join(options)}")
