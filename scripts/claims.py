"""Fill the marked parts of docs/claims.md from docs/results/*.json and the published numbers that the report knows.

python scripts/claims.py [--check]      --check: write nothing, exit 1 where the page is not what the files say
"""

import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pellucid.report.published import MAPS
from pellucid.report.verdicts import MARKS
from pellucid.study.audit import audit, sentences

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "claims.md"
PART = re.compile(r"(<!-- made: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
PAPERS = {"T3S": "R", "NRAT": "N", "T2E": "T", "ours": "P"}
"""A claim's key begins with the letter of its paper."""


def results() -> dict[str, Any]:
    """Every file of findings by its name."""
    files = sorted((DOCS / "results").glob("*.json"))
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in files}


def settings() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every setting of every file, with a name for people."""
    for name, found in results().items():
        for setting in found["settings"]:
            yield f"{name}: {setting['name']}", setting


def counted() -> list[str]:
    """How many claims came out how, over all settings."""
    verdicts = [one["verdict"] for _, setting in settings() for one in setting["relations"]]
    tested = {key for _, setting in settings() for key in _tested(setting)}
    rows = [f"| {MARKS.get(name, '–')} {name} | {verdicts.count(name)} |" for name in sorted(set(verdicts))]
    return [
        f"{len(tested)} claims could be tested in {len(list(settings()))} settings (data, arms, budget); "
        "a claim has one verdict a setting:",
        "",
        "| verdict | times |",
        "| --- | ---: |",
        *rows,
    ]


def _tested(setting: dict[str, Any]) -> set[str]:
    return {one["key"] for one in setting["relations"] if one["verdict"] != "not testable here"}


def claims(paper: str) -> list[str]:
    """A table of the claims of one paper: what was published, and every verdict with its numbers."""
    names, told = [], {}
    for name, setting in settings():
        of_paper = [one for one in setting["relations"] if one["key"].startswith(PAPERS[paper])]
        names += [name] if any(one["key"] in _tested(setting) for one in of_paper) else []
        for one in of_paper:
            told.setdefault((one["key"], one["claim"], one["published"]), []).append((name, one))
    lines = ["| claim | published | what our runs say |", "| --- | --- | --- |"]
    for (key, claim, published), found in sorted(told.items(), key=lambda item: (item[0][0][0], int(item[0][0][1:]))):
        said = [_said(names.index(name) + 1, one) for name, one in found if one["verdict"] != "not testable here"]
        lines.append(f"| **{key}** {_cell(claim)} | {_cell(published)} | {'<br>'.join(said) or '– not tested yet'} |")
    listed = "; ".join(f"[{place}] {name}" for place, name in enumerate(names, 1))
    return [*lines, "", f"Settings: {listed}." if names else "No setting here tests one of these."]


def _said(place: int, one: dict[str, Any]) -> str:
    return f"[{place}] {MARKS.get(one['verdict'], '')} {one['verdict']}: {_cell(one['summary'])}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def replicates() -> list[str]:
    """The gap between near-replicates in the published tables, beside the effect that is claimed from them."""
    lines = [
        "| setting | attribution | claimed: A − G | between replicates: abs(G − M1) |",
        "| --- | --- | ---: | ---: |",
    ]
    larger = 0
    rows = [(where, name, found["log10 ROS"]) for where, maps in MAPS.items() for name, found in maps.items()]
    rows = [row for row in rows if "M1" in row[2]]
    for where, name, ros in rows:
        effect, gap = ros["A"] - ros["G"], abs(ros["G"] - ros["M1"])
        larger += gap >= effect
        lines.append(f"| {where} | {name.replace('_', ' ')} | {effect:.2f} | {gap:.2f} |")
    return [
        *lines,
        "",
        f"In {larger} of {len(rows)} cells the gap between replicates is at least as large as the effect.",
    ]


def study() -> list[str]:
    """What the published user study's numbers imply."""
    return [f"* {sentence}" for sentence in sentences(audit())]


PARTS: dict[str, Callable[[], list[str]]] = {
    "counted": counted,
    "T3S": lambda: claims("T3S"),
    "NRAT": lambda: claims("NRAT"),
    "T2E": lambda: claims("T2E"),
    "ours": lambda: claims("ours"),
    "replicates": replicates,
    "study": study,
}


def filled(text: str) -> str:
    """The page with every marked part made anew."""
    return PART.sub(lambda found: f"{found[1]}\n" + "\n".join(PARTS[found[2]]()) + f"\n\n{found[3]}", text)


def main() -> None:
    """Write or check."""
    text = PAGE.read_text(encoding="utf-8")
    if "--check" in sys.argv[1:]:
        sys.exit(0 if text == filled(text) else "docs/claims.md is out of date: run this script")
    PAGE.write_text(filled(text), encoding="utf-8")


if __name__ == "__main__":
    main()
