"""What a folder of runs says about every claim, as one JSON; and many of them as one ledger in Markdown.

The JSON holds numbers and verdicts, no weights and no images, so it can be kept with the project for ever. The ledger
(docs/findings.md) is made from such files alone: nothing in it is typed by hand.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Any

from pellucid.files import finite
from pellucid.report.arms import Arm, arms_of, estimate, seed_values
from pellucid.report.contents import attribution_names, clean_measures, trade_off_measures
from pellucid.report.facts import measurement_facts, provenance_facts
from pellucid.report.measures import Measure
from pellucid.report.published import published_cells
from pellucid.report.relation import Relation
from pellucid.report.relations import relations, settings
from pellucid.report.runs import Run
from pellucid.report.tables import markdown_line
from pellucid.report.verdicts import MARKS
from pellucid.report.words import DASH, attribution_name, interval, number

SHOWN = ("holds", "does not hold", "within noise")


def findings(runs: Sequence[Run]) -> dict[str, Any]:
    """Per setting: arms with their numbers (by seed, too), relations with verdicts, published numbers beside ours.

    `numbers` of an arm are the headline ones; `maps` holds, for each attribution, every row of the report's table that
    is no detail; `weights` are the SHA-256 of each seed's, by which the same models are known in another file.
    """
    found = [_setting(name, members) for name, members in settings(runs)]
    return {"format": 1, "made_by": _facts(runs), "settings": found}


def ledger(results: Mapping[str, Mapping[str, Any]]) -> str:
    """The ledger of findings, Markdown; `results` are findings by the name of their file."""
    lines = [
        "# Findings",
        "",
        "<!-- Made by scripts/findings.py from docs/results/*.json; do not edit. -->",
        "",
        "What each paper claims, and what runs of this project say. A verdict follows from an interval over paired",
        "seeds (over images where there is one seed): **holds** or **does not hold** where it lies on one side,",
        "**within noise** where it does not. Claims that no run could test are left out here; they stand in the JSON.",
        "",
    ]
    for name, result in sorted(results.items()):
        lines += [f"## {name}", "", *_made_by(result), ""]
        for setting in result["settings"]:
            lines += _section(setting)
    return "\n".join(lines).rstrip() + "\n"


def _setting(name: str, runs: Sequence[Run]) -> dict[str, Any]:
    arms, names = arms_of(runs), attribution_names(runs)
    rows = {name: [measure for measure, detail in clean_measures(runs, name) if not detail] for name in names}
    cells = [asdict(cell) for cell in published_cells(runs)]
    found: dict[str, Any] = finite(
        {
            "name": name,
            "arms": [_arm(arm, trade_off_measures(arms), rows) for arm in arms],
            "relations": [_relation(one) for one in relations(runs)],
            "published": cells,
        }
    )
    return found


def _arm(arm: Arm, headline: Sequence[Measure], rows: Mapping[str, Sequence[Measure]]) -> dict[str, Any]:
    return {
        "name": arm.name,
        "meaning": arm.meaning,
        "seeds": [run.seed for run in arm.runs],
        "weights": [run.manifest["weights"].get("sha256") for run in arm.runs],
        "numbers": _numbers(arm, headline),
        "maps": {attribution_name(name): _numbers(arm, measures) for name, measures in rows.items()},
    }


def _numbers(arm: Arm, measures: Sequence[Measure]) -> dict[str, Any]:
    numbers = {}
    for measure in measures:
        # With one seed the interval speaks of images only.
        found = estimate(measure, arm if len(arm.runs) > 1 else arm.runs[0])
        if found is not None:
            value, low, high = (measure.factor * end for end in (found.value, found.low, found.high))
            told = {"value": value, "low": low, "high": high, "n": found.n, "decimals": measure.decimals}
            numbers[measure.label] = told | {"by_seed": seed_values(measure, arm)}
    return numbers


def _relation(one: Relation) -> dict[str, Any]:
    parts = [{"claim": part.claim, "verdict": part.verdict, "numbers": part.numbers} for part in one.parts]
    told = ("key", "claim", "scope", "published", "verdict", "summary", "caveat", "reason")
    return {name: getattr(one, name) for name in told} | {"parts": parts}


def _facts(runs: Sequence[Run]) -> dict[str, str]:
    facts = [*measurement_facts(runs), *provenance_facts(runs)]
    return {fact.label: str(fact.values[0]) for fact in facts if fact.common}


def _made_by(result: Mapping[str, Any]) -> list[str]:
    return [f"- {label}: {value}" for label, value in result["made_by"].items() if len(value) < 200]


def _section(setting: Mapping[str, Any]) -> list[str]:
    lines = [f"### {setting['name']}", "", *_arm_table(setting["arms"]), ""]
    tested = [one for one in setting["relations"] if one["verdict"] in SHOWN]
    if tested:
        lines += ["| claim | published | verdict | numbers |", "| --- | --- | --- | --- |"]
        lines += [_claim(one) for one in tested]
        caveats = dict.fromkeys(one["caveat"] for one in tested if one["caveat"])
        lines += ["", *caveats, ""] if caveats else [""]
    return lines + _published(setting["published"])


def _claim(one: Mapping[str, Any]) -> str:
    what = f"**{one['key']}** {one['claim']}" + (f" ({one['scope']})" if one["scope"] else "")
    return markdown_line([what, one["published"], f"{MARKS[one['verdict']]} {one['verdict']}", one["summary"]])


def _arm_table(arms: Sequence[Mapping[str, Any]]) -> list[str]:
    labels = list(dict.fromkeys(label for arm in arms for label in arm["numbers"]))
    rows = [markdown_line(["arm", "seeds", *labels]), markdown_line(["---", "---:", *["---:"] * len(labels)])]
    for arm in arms:
        numbers = [_number(arm["numbers"].get(label)) for label in labels]
        rows.append(markdown_line([arm["name"], str(len(arm["seeds"])), *numbers]))
    return rows


def _published(cells: Sequence[Mapping[str, Any]]) -> list[str]:
    known = [cell for cell in cells if cell["ours"] is not None]
    if not known:
        return []
    lines = ["| published number | arm | theirs | ours | |", "| --- | --- | ---: | ---: | --- |"]
    for quantity, group in groupby(known, key=lambda cell: cell["quantity"]):
        for cell in group:
            ours = _number(cell["ours"] | {"decimals": 2})
            lines.append(markdown_line([quantity, cell["role"], f"{cell['published']:g}", ours, cell["judgement"]]))
    return [*lines, ""]


def _number(found: Mapping[str, Any] | None) -> str:
    if found is None or found["value"] is None:
        return DASH
    value = number(found["value"], found["decimals"])
    known = found["low"] is not None and found["high"] is not None
    return f"{value} {interval(found['low'], found['high'], found['decimals'])}" if known else value
