"""The passport as one HTML file that needs nothing else."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import groupby
from typing import Any

from jinja2 import Environment

from pellucid.passport.comparing import Difference
from pellucid.passport.pictures import Gallery
from pellucid.report.templating import page_environment
from pellucid.report.words import count

ARROWS = {"higher": "↑", "lower": "↓", "": ""}
USUAL = ("mean over images", "share of test images")
"""How a row is averaged unless its line says otherwise."""
MARKS = {"pass": "✓", "fail": "✗", "not testable": "–"}


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = page_environment("pellucid.passport")
    environment.keep_trailing_newline = True
    environment.filters["count"] = count
    return environment


def to_page(
    facts: Mapping[str, Any],
    pictures: Gallery | None,
    against: tuple[str, Sequence[Difference]] | None = None,
) -> str:
    """The whole page; `against` is the title of another passport and what differs from it."""
    main = [row for row in facts["results"] if not row["detail"]]
    return (
        _environment()
        .get_template("passport.html.jinja")
        .render(
            facts=facts,
            tally=tally(facts),
            marks=MARKS,
            arrows=ARROWS,
            usual=USUAL,
            groups=_grouped(main),
            details=_grouped([row for row in facts["results"] if row["detail"]]),
            gallery=pictures,
            against=against,
        )
    )


def _grouped(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[Mapping[str, Any]]]]:
    return [(group, list(members)) for group, members in groupby(rows, key=lambda row: str(row["group"]))]


def tally(facts: Mapping[str, Any]) -> str:
    """`3 claims: 1 pass, 1 fail, 1 not testable`."""
    verdicts = [one["verdict"] for one in facts["claims"]]
    if not verdicts:
        return "No claims were stated."
    parts = [f"{verdicts.count(verdict)} {verdict}" for verdict in MARKS if verdict in verdicts]
    return f"{count(len(verdicts), 'claim')}: {', '.join(parts)}"
