"""One row of the gate: a number of both arms, what it lacks, and the test that the candidate is not worse."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from pellucid.errors import BadInput
from pellucid.gate.contrast import Contrast, contrast
from pellucid.gate.metrics import Tested
from pellucid.report.arms import Arm, table
from pellucid.report.measures import Measure, resampled_statistic
from pellucid.report.reading import Floats
from pellucid.report.survivors import RANGES
from pellucid.report.words import count
from pellucid.statistics.missing import bounds

Verdict = Literal["pass", "fail", "lost", "not testable"]
UNDEFINED_MARGIN, UNDEFINED_NOISE = 0.02, 0.01
"""For the share of undefined values: the rise that does not matter, and the noise between seeds."""
LOST = "the baseline has this number and the candidate has none: measure it, or find out why it is undefined"


@dataclass(frozen=True)
class Row:
    """One tested number, in stored units.

    Attributes
    ----------
    contrast
        None where one of the arms has no number.
    p, holm
        Of "the candidate is not worse by more than the margin", plain and corrected for all rows; NaN if not tested.
    detects
        How much worse the candidate has to look for this row to fail, whatever the other rows say.
    undefined
        Values that baseline and candidate lack, over all their runs.
    worst_case
        The difference if the candidate's undefined values were as bad, and the baseline's as good, as they can be.
    why
        One sentence.
    """

    key: str
    measure: Measure
    margin: float
    verdict: Verdict
    why: str = ""
    contrast: Contrast | None = None
    p: float = float("nan")
    holm: float = float("nan")
    detects: float = float("nan")
    undefined: tuple[int, int] = (0, 0)
    worst_case: float = float("nan")

    @property
    def failed(self) -> bool:
        """Whether this row alone makes the gate fail."""
        return self.verdict in {"fail", "lost"}


def rows_of(one: Tested, baseline: Arm, candidate: Arm, *, over_seeds: bool) -> list[Row]:
    """The number's row and, where runs differ in which values they have, that of its undefined values.

    Empty where the baseline has no such number. Verdicts are still open: "pass" until all rows are known.
    """
    before, after = (_table(one.measure, arm) for arm in (baseline, candidate))
    if before is None or np.isnan(before).all():
        return []
    if after is None or np.isnan(after).all():
        return [Row(one.key, one.measure, one.margin, "lost", LOST)]
    if before.shape[1:] != after.shape[1:]:
        raise BadInput(f"{one.key} has other images or levels in the candidate; measure both in one command")
    every = np.concatenate([before, after])
    seen = ~np.isnan(every).reshape(*every.shape[:2], -1).all(axis=(0, 2))  # an image that no run has is not measured
    before, after = before[:, seen], after[:, seen]
    lacking = int(np.isnan(before).sum()), int(np.isnan(after).sum())
    row = _row(one, before, after, over_seeds=over_seeds)
    if any(lacking):
        row = replace(row, undefined=lacking, worst_case=_worst_case(one.measure, before, after))
    return [row, *_undefined_row(one, before, after, over_seeds=over_seeds)]


def _table(measure: Measure, arm: Arm) -> Floats | None:
    """The values [runs, images, …] of an arm, None if one of its runs has none."""
    return None if any(measure.sample(run) is None for run in arm.runs) else table(measure, arm.runs)


def _row(one: Tested, before: Floats, after: Floats, *, over_seeds: bool) -> Row:
    noise = one.seed_noise if over_seeds else None
    found = contrast(before, after, statistic=resampled_statistic(one.measure), seed_noise=noise)
    p = found.p_worse(one.margin, higher_is_better=one.measure.direction == "↑")
    if np.isnan(p):
        why = f"only {count(found.images, 'image')} with a value for all runs"
        return Row(one.key, one.measure, one.margin, "not testable", why)
    return Row(one.key, one.measure, one.margin, "pass", contrast=found, p=p)


def _undefined_row(one: Tested, before: Floats, after: Floats, *, over_seeds: bool) -> list[Row]:
    """The share of undefined values, where the runs differ in it."""
    gone = [np.isnan(values).reshape(*values.shape[:2], -1).mean(axis=2) for values in (before, after)]
    if not np.ptp(np.concatenate(gone), axis=0).any():
        return []
    label = f"{one.measure.label}: undefined"
    measure = Measure(f"{one.measure.key}_undefined", label, one.measure.sample, "share", "↓", "%", 1)
    share = Tested(f"{one.key}.undefined", measure, UNDEFINED_MARGIN, UNDEFINED_NOISE)
    return [_row(share, gone[0], gone[1], over_seeds=over_seeds)]


def _worst_case(measure: Measure, before: Floats, after: Floats) -> float:
    """The difference with the undefined values of each side where they speak against the candidate."""
    every = np.concatenate([before, after])
    known = next((ends for word, ends in RANGES.items() if word in measure.key), None)
    low, high = known or (float(np.nanmin(every)), float(np.nanmax(every)))
    statistic = resampled_statistic(measure)
    ends = [
        np.mean([bounds(run, low=low, high=high, statistic=statistic) for run in side], 0) for side in (before, after)
    ]
    bad, good = (0, 1) if measure.direction == "↑" else (1, 0)
    return float(ends[1][bad] - ends[0][good])
