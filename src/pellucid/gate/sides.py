"""Baseline and candidate: one run or several seeds of one recipe each, measured alike on the same images."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pellucid.errors import BadInput
from pellucid.report import read_run, read_runs
from pellucid.report.arms import Arm, arms_of, runs_of
from pellucid.report.runs import Run

SETTINGS = (
    "profile",
    "seed",
    "robustness",
    "legacy_space",
    "ssim_noise",
    "ros_draws",
    "road_percentages",
    "held_out",
    "diffroad_levels",
    "interpretation_images",
)
"""What has to be alike in two measurements for their numbers to be comparable."""


def read_side(text: str) -> Arm:
    """The runs of a side: a run directory, several with commas between them, or a folder that holds runs.

    Raises
    ------
    BadInput
        If there is no measured run, one is given twice, or they differ in more than their seed.
    """
    runs = [run for path in _paths(text) for run in _runs(path)]
    weights = [str(run.manifest["weights"].get("sha256")) for run in runs]
    twice = next((run for place, run in enumerate(runs) if weights[place] in weights[:place]), None)
    if twice is not None:
        raise BadInput(f"{twice.path} holds the same weights as another run of its side; name every seed once")
    arms = arms_of(runs)
    if len(arms) > 1:
        names = ", ".join(str(arm.runs[0].path) for arm in arms[:2])
        raise BadInput(f"the runs of a side must differ in nothing but their seed; {names} do")
    return arms[0]


def _paths(text: str) -> list[Path]:
    whole = Path(text)
    parts = [part.strip() for part in text.split(",")]
    return [whole] if whole.exists() or len(parts) == 1 else [Path(part) for part in parts if part]


def _runs(path: Path) -> list[Run]:
    return [read_run(path)] if (path / "manifest.json").exists() else list(read_runs(path))


def check_comparable(baseline: Arm, candidate: Arm) -> None:
    """Raise BadInput in one sentence unless all runs were measured alike and on the same images."""
    first, *others = runs_of([baseline, candidate])
    for other in others:
        advice = "measure all of them in one command: pellucid measure BASELINE CANDIDATE"
        if first.setting[1] != other.setting[1]:
            raise BadInput(f"{first.path} and {other.path} have different test images; no test can pair them")
        for key in SETTINGS:
            mine, theirs = first.measurement.get(key), other.measurement.get(key)
            if mine != theirs:
                told = _told(mine, theirs)
                raise BadInput(f"{first.path} and {other.path} were measured with another {key} ({told}); {advice}")
        _check_maps(first, other, advice)


def _check_maps(first: Run, other: Run, advice: str) -> None:
    """The same attributions with the same options, on the same images."""
    alike = np.array_equal(first.accuracy.ids, other.accuracy.ids)
    for name in sorted(first.attributions.keys() & other.attributions.keys()):
        mine, theirs = (_options(run, name) for run in (first, other))
        if mine != theirs:
            told = _told(mine, theirs)
            raise BadInput(f"{first.path} and {other.path} were measured with another {name} ({told}); {advice}")
        alike = alike and np.array_equal(first.attributions[name].ids, other.attributions[name].ids)
    if not alike:
        raise BadInput(f"{first.path} and {other.path} were measured on other images; {advice}")


def _options(run: Run, attribution: str) -> dict[str, Any]:
    options = run.measurement["attributions"][attribution]
    return {key: value for key, value in options.items() if key != "metrics"}


def _told(mine: Any, theirs: Any) -> str:
    """What differs, short: the entries of two objects that do, or the whole of other values."""
    if isinstance(mine, dict) and isinstance(theirs, dict):
        keys = [key for key in mine.keys() | theirs.keys() if mine.get(key) != theirs.get(key)]
        return ", ".join(f"{key} {mine.get(key)} against {theirs.get(key)}" for key in sorted(keys))
    return f"{mine!s:.60} against {theirs!s:.60}"


def measured_by_other_code(runs: Sequence[Run]) -> bool:
    """Whether the measurements come from different versions of the code."""
    return len({run.measurement.get("code_sha256") for run in runs}) > 1
