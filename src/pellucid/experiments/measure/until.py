"""Measuring until an interval is tight enough: which numbers are watched, and when to stop."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pellucid.errors import BadInput, unknown_name
from pellucid.experiments.measure.notebook import Row
from pellucid.statistics.intervals import CONFIDENCE, Estimate
from pellucid.statistics.sequences import asymptotic, hedged_capital


@dataclass(frozen=True)
class Watched:
    """A number of an image's row, and its bounds (None: it has none)."""

    value: Callable[[Row], float]
    what: str
    bounds: tuple[float, float] | None

    def interval(self, rows: Sequence[Row], aim: float) -> Estimate:
        """Of the mean over images like these; valid whenever one stops."""
        values = [self.value(row) for row in rows]
        return asymptotic(values) if self.bounds is None else hedged_capital(values, bounds=self.bounds, aim=aim)

    def shown(self) -> dict[str, Any]:
        """As plain values, for measurement.json."""
        kind = "asymptotic confidence sequence" if self.bounds is None else "hedged capital"
        return {"what": self.what, "bounds": self.bounds, "interval": kind}


def _mean(numbers: Sequence[float | None]) -> float:
    known = [number for number in numbers if number is not None]
    return sum(known) / len(known) if known else math.nan


def _log10(number: float | None) -> float:
    return math.log10(number) if number else math.nan


WATCHED = {
    "gini": Watched(lambda row: row["gini"] if row["gini"] is not None else math.nan, "Gini index", (0.0, 1.0)),
    "ssim": Watched(lambda row: _mean(row["ssim"]), "mean SSIM of the levels that are defined", (-1.0, 1.0)),
    "road": Watched(lambda row: 1 - _mean(row["road"]), "share of ROAD's levels that fool the model", (0.0, 1.0)),
    "ros": Watched(lambda row: _log10(row["ros_norm"]), "log10 of ROS-norm", None),
}
"""What can be watched, by the metric that has to be measured for it."""
UNBOUNDED = [name for name, watched in WATCHED.items() if watched.bounds is None]


@dataclass(frozen=True)
class Until:
    """A rule: stop when the half width of every watched interval is below `width`."""

    rule: str
    width: float
    metrics: tuple[str, ...]

    def shown(self) -> dict[str, Any]:
        """As plain values, for measurement.json."""
        watched = {metric: WATCHED[metric].shown() for metric in self.metrics}
        return {"rule": self.rule, "half_width": self.width, "confidence": CONFIDENCE, "watched": watched}

    def intervals(self, rows: Sequence[Row], metrics: Sequence[str]) -> dict[str, Estimate]:
        """The interval of each watched metric among `metrics`."""
        return {name: WATCHED[name].interval(rows, self.width) for name in self.metrics if name in metrics}

    def found(self, rows: Sequence[Row], metrics: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The intervals as plain values, and whether each is tight enough."""
        found = self.intervals(rows, metrics)
        return {name: asdict(one) | {"tight": half_width(one) < self.width} for name, one in found.items()}

    def reached(self, rows: Sequence[Row], metrics: Sequence[str]) -> bool:
        """Whether all intervals are tight enough; looked at only where the classical ones are, which are narrower."""
        watched = [name for name in self.metrics if name in metrics]
        if not all(self._may_be_tight([WATCHED[name].value(row) for row in rows]) for name in watched):
            return False
        return all(half_width(found) < self.width for found in self.intervals(rows, metrics).values())

    def _may_be_tight(self, values: Sequence[float]) -> bool:
        known = np.asarray([value for value in values if not math.isnan(value)])
        return len(known) > 1 and 1.96 * float(known.std()) / math.sqrt(len(known)) < self.width


def half_width(found: Estimate) -> float:
    """Half the width of an interval."""
    return (found.high - found.low) / 2


def make_until(text: str, attributions: Mapping[str, Sequence[str]]) -> Until:
    """The rule in words such as "ci<0.01" (Gini, SSIM and ROAD, as far as they are measured) or "ros:ci<0.05".

    Raises
    ------
    BadInput
        If it cannot be read, or nothing that is measured can be watched.
    """
    found = re.fullmatch(r"(?:(\w+):)?ci<([0-9.eE+-]+)", text.replace(" ", ""))
    width = _number(found.group(2)) if found else None
    if found is None or width is None:
        raise BadInput(f"--until takes a rule such as ci<0.01 or gini:ci<0.005 (a half width); got '{text}'")
    name = found.group(1)
    if name is not None and name not in WATCHED:
        raise unknown_name("metric to watch", name, WATCHED)
    measured = {metric for metrics in attributions.values() for metric in metrics}
    wanted = [name] if name else [metric for metric in WATCHED if metric not in UNBOUNDED]
    metrics = tuple(metric for metric in wanted if metric in measured)
    if not metrics:
        raise BadInput(f"--until {text} watches {', '.join(wanted)}, and none of it is measured; add it with --metric")
    return Until(text.replace(" ", ""), width, metrics)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 < number < math.inf else None
