"""A passport of one measured run, for a reviewer without Python: one HTML file, the same facts as JSON. No torch."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pellucid.files import write_atomic
from pellucid.passport.claims import Claim, read_claims
from pellucid.passport.comparing import Difference, differences, read_other
from pellucid.passport.facts import passport_facts
from pellucid.passport.page import tally, to_page
from pellucid.passport.pdf import find_chromium, write_pdf
from pellucid.passport.pictures import gallery
from pellucid.report.runs import Run

__all__ = [
    "Claim",
    "differences",
    "find_chromium",
    "passport_facts",
    "read_claims",
    "read_other",
    "tally",
    "to_json",
    "to_page",
    "write_passport",
    "write_pdf",
]


def write_passport(
    run: Run, out: Path, *, claims: Sequence[Claim] = (), against: Mapping[str, Any] | None = None
) -> tuple[str, dict[str, Any], list[Difference]]:
    """Write the page `out`, and its facts beside it as JSON; `against` are those of another passport.

    Returns
    -------
    The page, the facts, and what differs from the other passport.

    Raises
    ------
    BadInput
        If the weights in the folder are not those that were measured.
    RunFailed
        If the disk cannot be written.
    """
    facts = passport_facts(run, claims)
    found = [] if against is None else differences(facts, against)
    page = to_page(facts, gallery(run), None if against is None else (str(against["title"]), found))
    write_atomic(out.with_suffix(".json"), to_json(facts))
    write_atomic(out, page)
    return page, facts, found


def to_json(facts: dict[str, Any]) -> str:
    """Sorted keys, one fact a line."""
    return json.dumps(facts, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
