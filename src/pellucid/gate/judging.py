"""The verdict: every metric tested one-sided against its margin, Holm's correction over all of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from pellucid.errors import BadInput, unknown_name
from pellucid.gate.contrast import MIN_FREEDOM
from pellucid.gate.metrics import tested
from pellucid.gate.rows import Row, rows_of
from pellucid.gate.sides import check_comparable, measured_by_other_code
from pellucid.report.arms import Arm, runs_of
from pellucid.report.words import interval, number, p_value
from pellucid.statistics import holm

Scope = Literal["recipe", "model"]
SCOPES = ("recipe", "model")
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Gate:
    """What was compared, and what came out."""

    baseline: Arm
    candidate: Arm
    alpha: float
    scope: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether no row failed."""
        return not any(row.failed for row in self.rows)


def gate(
    baseline: Arm,
    candidate: Arm,
    *,
    wanted: Mapping[str, float | None] | None = None,
    alpha: float = 0.05,
    scope: str | None = None,
) -> Gate:
    """Is the candidate worse than the baseline in some metric by more than its margin?

    Parameters
    ----------
    wanted
        Metrics and margins (None: the default margin); every default metric that was measured, if absent.
    alpha
        The probability that the gate fails although no metric is worse by more than its margin, at most.
    scope
        "recipe": over new images and new training runs of both recipes. "model": over new images for these weights.
        None: "model" with one run a side, which cannot say how its recipe varies, else "recipe".

    Raises
    ------
    BadInput
        If the runs were not measured alike, the level is not in (0, 0.5), or nothing can be tested.
    """
    if not 0 < alpha < 0.5:
        raise BadInput(f"--alpha {alpha:g} is no level: the false-alarm rate must lie between 0 and 0.5")
    if scope is None:
        scope = "model" if len(runs_of([baseline, candidate])) == 2 else "recipe"
    if scope not in SCOPES:
        raise unknown_name("scope", scope, SCOPES)
    check_comparable(baseline, candidate)
    listed = tested(runs_of([baseline, candidate]), wanted or {})
    rows = [row for one in listed for row in rows_of(one, baseline, candidate, over_seeds=scope == "recipe")]
    held = {row.key for row in rows}
    missing = [one.key for one in listed if one.key not in held]
    if missing and wanted:
        raise BadInput(f"the baseline was not measured in {missing[0]}; measure it, or gate on other metrics")
    if not any(row.failed or row.contrast for row in rows):
        raise BadInput(f"{baseline.runs[0].path} and {candidate.runs[0].path} share no number that can be tested")
    return Gate(baseline, candidate, alpha, scope, tuple(judged(rows, alpha)), _notes(baseline, candidate, scope))


def judged(rows: Sequence[Row], alpha: float) -> list[Row]:
    """The rows with corrected p-values, verdicts and sentences."""
    adjusted = holm([row.p for row in rows])
    tests = int((~np.isnan(adjusted)).sum())
    return [_judged(row, float(p), alpha, tests) for row, p in zip(rows, adjusted, strict=True)]


def _judged(row: Row, p: float, alpha: float, tests: int) -> Row:
    if row.contrast is None:
        return row
    detects = row.contrast.detects(row.margin, alpha / tests)
    return replace(
        row,
        holm=p,
        detects=detects,
        verdict="fail" if p < alpha else "pass",
        why=_sentence(row, p, failed=p < alpha),
    )


def _sentence(row: Row, p: float, *, failed: bool) -> str:
    assert row.contrast is not None
    measure, found = row.measure, row.contrast
    factor, decimals = measure.factor, measure.decimals
    worse = (found.difference < 0) == (measure.direction == "↑") and found.difference != 0
    low, high = found.interval(CONFIDENCE)
    change = number(factor * found.difference, decimals, signed=True)
    ends = interval(factor * low, factor * high, decimals, signed=True)
    margin = f"the margin of {number(factor * row.margin, decimals)}" + (f" {measure.unit}" if measure.unit else "")
    if failed:
        return f"{measure.label} is worse than the baseline's by more than {margin}: {change} {ends}, {_p(p)}"
    if not worse:
        return f"{measure.label} is not worse: {change} {ends}"
    return f"{measure.label} is not shown to be worse by more than {margin}: {change} {ends}, {_p(p)}"


def _p(p: float) -> str:
    text = p_value(p)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def _notes(baseline: Arm, candidate: Arm, scope: str) -> tuple[str, ...]:
    """What the level means here, on what the noise between seeds rests, and what to be careful about."""
    runs = [len(arm.runs) for arm in (baseline, candidate)]
    if scope == "model":
        notes = [
            "False alarms are counted over new images for these very weights. Another seed of the same recipe can "
            "differ by more: give several seeds a side, or --scope recipe, if the candidate was trained anew."
        ]
    elif sum(runs) - 2 >= MIN_FREEDOM:
        notes = ["False alarms are counted over new images and new training runs; the seeds at hand say how they vary."]
    else:
        notes = [
            "False alarms are counted over new images and new training runs. The runs are too few to say how seeds "
            "vary, so the stated noise between seeds is taken: give five runs or more to find smaller losses."
        ]
    if measured_by_other_code(runs_of([baseline, candidate])):
        notes.append("The runs were measured by different versions of the code.")
    return tuple(notes)
