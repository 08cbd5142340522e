"""Who is left out of the analysis, and why: the frozen rules applied to the rows, without the key."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, TypeAlias

from pellucid.study.plan import Exclusions

Row: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True)
class Excluded:
    """One line of the ledger: the first rule that a participant broke, and what was seen."""

    participant: str
    rule: str
    why: str


@dataclass(frozen=True)
class _Person:
    """A participant's row, their answers by block, and whether somebody before them had the same external id."""

    row: Row
    ratings: Sequence[Row]
    checks: Sequence[Row]
    again: bool


def exclude(answers: Sequence[Row], participants: Sequence[Row], rules: Exclusions) -> list[Excluded]:
    """The ledger, in the order of the participants: each at most once, with the first rule that applies.

    Parameters
    ----------
    answers, participants
        Rows of the export.
    """
    people = _people(answers, participants)
    tests = [(name, test) for name, test in _RULES.items() if _active(rules, name)]
    ledger = []
    for person in people:
        broken = ((name, test(person, rules)) for name, test in tests)
        found = next(((name, why) for name, why in broken if why), None)
        if found:
            ledger.append(Excluded(str(person.row["participant"]), *found))
    return ledger


def _people(answers: Sequence[Row], participants: Sequence[Row]) -> list[_Person]:
    blocks: dict[tuple[str, str], list[Row]] = {}
    for row in answers:
        blocks.setdefault((row["participant"], row["block"]), []).append(row)
    repeated = _repeated(participants)
    return [
        _Person(row, blocks.get((name, "rating"), []), blocks.get((name, "attention"), []), name in repeated)
        for row in participants
        if (name := row["participant"])
    ]


def _repeated(participants: Sequence[Row]) -> set[str]:
    """Participants whose external id an earlier one has; a finished one is earlier than any that did not finish."""
    order = sorted(participants, key=lambda row: (row.get("state") != "finished", str(row.get("started_at") or "")))
    seen: set[str] = set()
    repeated = set()
    for row in order:
        name = str(row.get("external_id") or "")
        if name and name in seen:
            repeated.add(row["participant"])
        seen.add(name)
    return repeated


def _active(rules: Exclusions, name: str) -> bool:
    limit = True if name == "forgotten" else getattr(rules, name)
    return limit is not None and limit is not False  # a limit of 0 is a rule, too


def _forgotten(person: _Person, _: Exclusions) -> str:
    return "asked to be forgotten" if person.row.get("state") == "forgotten" else ""


def _unfinished(person: _Person, _: Exclusions) -> str:
    return "" if person.row.get("state") == "finished" else "did not finish"


def _duplicate(person: _Person, _: Exclusions) -> str:
    return "the same external id as another participant who came first" if person.again else ""


def _failed(person: _Person, rules: Exclusions) -> str:
    wrong = sum(str(row["value"]) != str(row["expected"]) for row in person.checks if row["expected"] != "")
    return f"failed {wrong} of {len(person.checks)} attention checks" if wrong > (rules.failed_checks or 0) else ""


def _fast(person: _Person, rules: Exclusions) -> str:
    times: dict[Any, float] = {}
    for row in person.ratings:
        if row.get("milliseconds") not in (None, ""):
            times[row["trial"]] = max(times.get(row["trial"], 0.0), float(row["milliseconds"]) / 1000)
    middle = median(times.values()) if times else None
    too_fast = middle is not None and middle < (rules.median_seconds or 0)
    return f"median of {middle:.2f} s on a rated stimulus" if too_fast else ""


def _straight(person: _Person, rules: Exclusions) -> str:
    values = [str(row["value"]) for row in person.ratings]
    share = max((values.count(value) for value in set(values)), default=0) / max(len(values), 1)
    if len(values) < 2 or share < (rules.same_share or 1.0):
        return ""
    return f"{share:.0%} of {len(values)} ratings are the same"


_RULES: dict[str, Callable[[_Person, Exclusions], str]] = {
    "forgotten": _forgotten,
    "unfinished": _unfinished,
    "duplicates": _duplicate,
    "failed_checks": _failed,
    "median_seconds": _fast,
    "same_share": _straight,
}
