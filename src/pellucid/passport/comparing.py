"""What two passports say differently."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pellucid.errors import BadInput
from pellucid.passport.claims import Claim
from pellucid.passport.facts import FORMAT, passport_facts
from pellucid.report.reading import read_mapping
from pellucid.report.runs import read_run
from pellucid.report.words import DASH, count

Difference = tuple[str, str, str]
"""(what, here, there)"""


def read_other(path: Path, claims: Sequence[Claim]) -> dict[str, Any]:
    """The facts of another run under the same claims, or of another passport (its HTML or JSON file).

    Raises
    ------
    BadInput
        If it is neither, or a passport of another format.
    """
    if path.is_dir():
        return passport_facts(read_run(path), claims)
    path = path.with_suffix(".json")
    found = read_mapping(path, {"format": int, "title": str, "results": list, "claims": list})
    if found["format"] != FORMAT:
        raise BadInput(f"{path} is a passport of format {found['format']}, not {FORMAT}: write it again from its run")
    return found


def differences(here: Mapping[str, Any], there: Mapping[str, Any]) -> list[Difference]:
    """One line a fact, in the order of the passport; a dash where one of them lacks it."""
    one, two = _flat(_keyed(here)), _flat(_keyed(there))
    return [
        (key, one.get(key, DASH), two.get(key, DASH))
        for key in dict.fromkeys([*one, *two])
        if one.get(key) != two.get(key)
    ]


def _keyed(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Lists by what their entries are about, so that one more of them moves no other; the main results only."""
    results = {
        f"{row['group']} / {row['label']}": f"{row['shown']} {row['interval']} ({_images(row['images'])})"
        for row in facts["results"]
        if not row["detail"]
    }
    claims = {f"{one['label']} {one['claimed']}": one["verdict"] for one in facts["claims"]}
    excluded = {f"{one['from']}: {one['why']}": one["number"] for one in facts.get("exclusions", [])}
    kept = {name: facts.get(name, {}) for name in ("identity", "measurement", "hashes")}
    return {"claims": claims, "results": results, **kept, "exclusions": excluded}


def _images(number: int | None) -> str:
    return "no images" if number is None else count(number, "image")


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, item in value.items():
        if isinstance(item, Mapping):
            flat |= _flat(item, f"{prefix}{key} / ")
        else:
            flat[f"{prefix}{key}"] = str(item)
    return flat
