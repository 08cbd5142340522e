"""Checking what participants tell about themselves."""

from collections.abc import Mapping, Sequence

from pellucid.study.answering import storable
from pellucid.study.protocol import Demographic

LONGEST = 300


def checked(asked: Sequence[Demographic], fields: Mapping[str, str]) -> tuple[dict[str, str | int], dict[str, bool]]:
    """The usable values by question, and the questions whose answer is missing or wrong.

    Questions that may be left open and were, have no value. Fields that nobody asked for are not kept.
    """
    values: dict[str, str | int] = {}
    problems: dict[str, bool] = {}
    for question in asked:
        given = fields.get(question.id, "").strip()
        if not given and not question.required:
            continue
        value = _value(question, given)
        if value is None:
            problems[question.id] = True
        else:
            values[question.id] = value
    return values, problems


def _value(question: Demographic, given: str) -> str | int | None:
    if question.kind == "choice":
        return given if given in question.options else None
    if question.kind == "number":
        return int(given) if given.isascii() and given.isdigit() and len(given) <= 4 else None
    try:
        text = storable(given)
    except UnicodeEncodeError:
        return None
    return text if 0 < len(text) <= LONGEST else None
