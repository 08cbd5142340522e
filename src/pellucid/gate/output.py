"""The gate's result as a table, as one JSON object, and as JUnit XML."""

import re
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree as ET

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pellucid.files import finite
from pellucid.gate.judging import CONFIDENCE, Gate
from pellucid.gate.rows import Row
from pellucid.report.arms import Arm
from pellucid.report.words import DASH, count, interval, number, p_value

STYLES = {"pass": "green", "fail": "bold red", "lost": "bold red", "not testable": "yellow"}
_NOT_IN_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that no XML document may hold, not even escaped."""


def to_table(gate: Gate) -> RenderableType:
    """A row a number, its reason below where it failed, and what the level means."""
    title = f"{_title(gate.candidate)} against {_title(gate.baseline)}"
    table = Table(title=title, box=SIMPLE_HEAD, title_justify="left")
    table.add_column("metric", overflow="fold", min_width=12)
    for name in ("baseline\ncandidate", "difference\n95 % interval", "margin\nfails from", "p\n(Holm)"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("")
    for row in gate.rows:
        table.add_row(_label(row), *_cells(row), Text(row.verdict, STYLES[row.verdict]))
    reasons = [Text(f"{row.key}: {row.why}", "red") for row in gate.rows if row.failed or row.contrast is None]
    return Group(table, *reasons, *(Text(note) for note in gate.notes), Text(summary(gate), "bold"))


def summary(gate: Gate) -> str:
    """`FAIL: 2 of 6 metrics are worse …`."""
    failed = [row.key for row in gate.rows if row.failed]
    level = f"false-alarm rate at most {100 * gate.alpha:g} %"
    if not failed:
        return f"PASS: no regression in {count(len(gate.rows), 'number')} ({level})"
    return f"FAIL: {len(failed)} of {count(len(gate.rows), 'number')} ({', '.join(failed)}; {level})"


def _label(row: Row) -> str:
    """`gini ↑`, and below it of which attribution."""
    attribution, _, name = row.key.partition(".") if "." in row.key else ("", "", row.key)
    unit = f" ({row.measure.unit})" if row.measure.unit else ""
    return f"{name}{unit} {row.measure.direction}" + (f"\n{attribution}" if attribution else "")


def _cells(row: Row) -> list[str]:
    if row.contrast is None:
        return [DASH] * 4
    found, factor, decimals = row.contrast, row.measure.factor, row.measure.decimals
    low, high = found.interval(CONFIDENCE)
    ends = interval(factor * low, factor * high, decimals, signed=True)
    sign = -1 if row.measure.direction == "↑" else 1
    return [
        f"{number(factor * found.baseline, decimals)}\n{number(factor * found.candidate, decimals)}",
        f"{number(factor * found.difference, decimals, signed=True)}\n{ends}",
        f"{number(factor * row.margin, decimals)}\n{number(sign * factor * row.detects, decimals, signed=True)}",
        p_value(row.holm),
    ]


def to_json(gate: Gate) -> dict[str, Any]:
    """One object; numbers in stored units (shares, log10 for ROS), null where undefined."""
    found = {
        "passed": gate.passed,
        "alpha": gate.alpha,
        "scope": gate.scope,
        "baseline": _side(gate.baseline),
        "candidate": _side(gate.candidate),
        "rows": [_row(row) for row in gate.rows],
        "notes": list(gate.notes),
        "summary": summary(gate),
    }
    return dict(finite(found))


def _side(arm: Arm) -> list[dict[str, Any]]:
    return [
        {"folder": str(run.path), "seed": run.seed, "weights_sha256": run.manifest["weights"].get("sha256")}
        for run in arm.runs
    ]


def _row(row: Row) -> dict[str, Any]:
    found = row.contrast
    low, high = (None, None) if found is None else found.interval(CONFIDENCE)
    return {
        "key": row.key,
        "metric": row.measure.label,
        "better": {"↑": "higher", "↓": "lower"}[row.measure.direction],
        "verdict": row.verdict,
        "why": row.why,
        "baseline": None if found is None else found.baseline,
        "candidate": None if found is None else found.candidate,
        "difference": None if found is None else found.difference,
        "interval": [low, high],
        "margin": row.margin,
        "p": row.p,
        "p_holm": row.holm,
        "fails_from": row.detects,
        "images": 0 if found is None else found.images,
        "undefined": {"baseline": row.undefined[0], "candidate": row.undefined[1]},
        "worst_case_difference": row.worst_case,
    }


def to_junit(gate: Gate) -> str:
    """JUnit XML: one testcase a number, so that a forge shows which one failed and why."""
    totals = {
        "name": "pellucid gate",
        "tests": str(len(gate.rows)),
        "failures": str(sum(row.failed for row in gate.rows)),
        "errors": "0",
        "skipped": str(sum(row.verdict == "not testable" for row in gate.rows)),
        "time": "0",
    }
    suites = _element(None, "testsuites", totals)
    suite = _element(suites, "testsuite", totals)
    properties = _element(suite, "properties", {})
    described = {"baseline": _folders(gate.baseline), "candidate": _folders(gate.candidate), "alpha": f"{gate.alpha:g}"}
    for name, value in (described | {"scope": gate.scope}).items():
        _element(properties, "property", {"name": name, "value": value})
    for row in gate.rows:
        _testcase(suite, row)
    ET.indent(suites)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(suites, encoding="unicode")}\n'


def _testcase(suite: ET.Element, row: Row) -> None:
    case = _element(suite, "testcase", {"classname": "pellucid.gate", "name": row.key, "time": "0"})
    if row.failed:
        kind = "lost metric" if row.verdict == "lost" else "regression"
        _element(case, "failure", {"message": row.why, "type": kind}).text = _clean(row.why)
    elif row.verdict == "not testable":
        _element(case, "skipped", {"message": row.why})
    else:
        _element(case, "system-out", {}).text = _clean(row.why)


def _element(parent: ET.Element | None, tag: str, attributes: Mapping[str, str]) -> ET.Element:
    clean = {name: _clean(value) for name, value in attributes.items()}
    return ET.Element(tag, clean) if parent is None else ET.SubElement(parent, tag, clean)


def _clean(text: str) -> str:
    return _NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", text)


def _folders(arm: Arm) -> str:
    return ", ".join(str(run.path) for run in arm.runs)


def _title(arm: Arm) -> str:
    if len(arm.runs) == 1:
        return f"{arm.runs[0].path.name} (seed {arm.runs[0].seed})"
    return f"{arm.name} ({count(len(arm.runs), 'seed')})"
