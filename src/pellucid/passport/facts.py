"""All that a passport says, as one plain object: the page, the JSON file and comparisons are made of it alone.

Nothing in it depends on where the run lies, on when or on which machine the passport is written. Numbers are rounded to
six significant digits, since sums differ in the last ones from machine to machine.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from pellucid.passport.claims import Claim, Judgement, judge
from pellucid.passport.exclusions import exclusions
from pellucid.passport.hashes import hashes, weights_state
from pellucid.passport.limits import limits_of
from pellucid.report.arms import Arm
from pellucid.report.contents import clean_table, legacy_table
from pellucid.report.facts import measurement_facts, provenance_facts
from pellucid.report.methods import methods
from pellucid.report.reading import lookup
from pellucid.report.results import Row
from pellucid.report.runs import Run
from pellucid.report.words import DASH, interval, number

FORMAT = 1
ELSEWHERE = {"Model", "Seed of the training", "Data"}
SANITY_GROUPS = {"Sanity: the edges of the image": "edges", "Sanity: a random map": "random"}
STATISTICS = (
    "Intervals hold the true value for images like these in 95 of 100 cases: Wilson's for shares, the percentile "
    "bootstrap over images for all others. They say how a number varies over images, not over training runs. A claim "
    "passes if its whole interval lies on the claimed side, and fails if the whole of it lies on the other; it is not "
    "testable where the interval holds the claimed value, or where nothing was measured."
)


def passport_facts(run: Run, claims: Sequence[Claim]) -> dict[str, Any]:
    """The facts of a measured run.

    Raises
    ------
    BadInput
        If the weights in the folder are not those that were measured.
    """
    run = replace(run, name=run.role)  # whatever its folder is called
    state = weights_state(run)
    legacy = legacy_table((run,))
    published = [replace(row, group=f"{row.group}, as published") for row in (() if legacy is None else legacy.rows)]
    rows = [*clean_table((run,)).rows, *published]
    measured = [row for row in rows if row.cells[0] is not None and row.group != "Cost"]
    own = [row for row in measured if row.group not in SANITY_GROUPS]
    facts = {
        "format": FORMAT,
        "title": _title(run),
        "identity": _identity(run),
        "claims": [_claim(one) for one in judge(run, claims)],
        "methods": [methods((Arm(run.role, run.role, run.meaning, (run,)),))[1], STATISTICS],
        "measurement": {one.label: one.values[0] for one in measurement_facts((run,)) if one.label not in ELSEWHERE},
        "results": [_result(row, measured) for row in own],
        "hashes": hashes(run),
        "weights_file": state,
        "exclusions": [dict(zip(("from", "number", "why"), one, strict=True)) for one in exclusions(run, own)],
        "limits": limits_of([row.key for row in own]),
    }
    return dict(_rounded(facts))


def _title(run: Run) -> str:
    return f"{run.role}: {lookup(run.manifest, 'model.name')} on {run.manifest['data']['name']}, seed {run.seed}"


def _identity(run: Run) -> dict[str, str]:
    known = {one.label: one.values[0] for one in (*measurement_facts((run,)), *provenance_facts((run,)))}
    parameters = lookup(run.manifest, "model.parameters")
    own = {
        "Recipe": run.role if run.role == run.meaning else f"{run.role}: {run.meaning}",
        "Group": str(run.config.get("group") or DASH),
        "Model": str(lookup(run.manifest, "model.name")),
        "Parameters": DASH if parameters is None else f"{parameters:,}",
        "SmoothBlock after": run.layer or DASH,
        "Data": known["Data"],
        "Classes": ", ".join(map(str, run.manifest["data"]["classes"])),
        "Objective": _options(run.config["objective"]),
        "Regularisers": "; ".join(_options(one) for one in run.config.get("regularisers") or []) or DASH,
        "Training": _options(run.config.get("training") or {}),
        "Seed of the training": str(run.seed),
        "Training began": known.get("Created", DASH),
    }
    rest = {label: known[label] for label in ("Kept epoch", "Hardware", "Versions") if label in known}
    return {label: text for label, text in (own | rest).items() if text != DASH}


def _options(value: Mapping[str, Any]) -> str:
    """`adversarial, eps 0.1`; what is inside of an option by its name alone, without what is not set."""
    texts = [
        str(item) if key == "name" else f"{key.replace('_', ' ')} {item['name'] if isinstance(item, Mapping) else item}"
        for key, item in value.items()
        if item is not None and (not isinstance(item, Mapping) or "name" in item)
    ]
    rate = lookup(value, "optimizer.lr")
    return ", ".join(texts + ([] if rate is None else [f"learning rate {rate}"])) or DASH


def _claim(one: Judgement) -> dict[str, Any]:
    found, factor, decimals = one.estimate, one.measure.factor, one.measure.decimals
    unit = f" {one.measure.unit}" if one.measure.unit else ""
    shown = DASH if found is None else f"{number(factor * found.value, decimals)}{unit}"
    return asdict(one.claim) | {
        "label": one.measure.label,
        "claimed": f"{one.claim.relation.replace('_', ' ')} {number(factor * one.claim.value, decimals)}{unit}",
        "measured": shown,
        "interval": "" if found is None else interval(factor * found.low, factor * found.high, decimals),
        "images": 0 if found is None else found.n,
        "verdict": one.verdict,
        "why": one.why,
    }


def _result(row: Row, rows: Sequence[Row]) -> dict[str, Any]:
    cell = row.cells[0]
    assert cell is not None
    return {
        "key": row.key,
        "group": row.group,
        "label": row.label,
        "unit": row.unit,
        "better": {"↑": "higher", "↓": "lower"}.get(row.direction, ""),
        "aggregate": row.aggregate,
        "shown": number(cell.value, row.decimals),
        "interval": interval(cell.low, cell.high, row.decimals),
        "value": cell.value,
        "low": cell.low,
        "high": cell.high,
        "images": cell.n,
        "undefined": cell.dropped,
        "detail": row.detail,
        "sanity": _sanity(row, rows),
    }


def _sanity(row: Row, rows: Sequence[Row]) -> dict[str, list[str]]:
    """The same number, with its interval, of maps that know nothing of the model; empty where it was not measured."""
    found: dict[str, list[str]] = {"edges": [], "random": []}
    for other in rows:
        if other.group in SANITY_GROUPS and other.key == row.key:
            found[SANITY_GROUPS[other.group]] = _shown(other)
        if (row.key, other.key, other.group) == ("aopc_clean", "aopc_random", row.group):
            found["random"] = _shown(other)
    return found


def _shown(row: Row) -> list[str]:
    cell = row.cells[0]
    assert cell is not None
    return [number(cell.value, row.decimals), interval(cell.low, cell.high, row.decimals)]


def _rounded(value: Any) -> Any:
    """Numbers to six significant digits, undefined ones as None."""
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list | tuple) else value
