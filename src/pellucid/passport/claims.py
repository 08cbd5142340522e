"""What was claimed of a model, and whether the interval of the measured number bears it out."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pellucid.errors import BadInput, unknown_name
from pellucid.files import read_yaml
from pellucid.gate.metrics import METRICS, OF_RUNS
from pellucid.report import measures
from pellucid.report.contents import attribution_names
from pellucid.report.measures import Measure
from pellucid.report.runs import Run
from pellucid.report.words import attribution_name, count, interval, number
from pellucid.statistics import Estimate

Verdict = Literal["pass", "fail", "not testable"]
RELATIONS = {"at_least": "at least", "at_most": "at most"}


@dataclass(frozen=True)
class Claim:
    """`metric` is a name of :data:`pellucid.gate.METRICS`, perhaps `attribution.name`; `value` is in stored units."""

    metric: str
    relation: str
    value: float
    note: str = ""


@dataclass(frozen=True)
class Judgement:
    """A claim and what the data say of it, numbers in stored units; `estimate` is None where nothing was measured."""

    claim: Claim
    measure: Measure
    attribution: str
    estimate: Estimate | None
    verdict: Verdict
    why: str


def read_claims(path: Path) -> list[Claim]:
    """A YAML list of {metric, relation, value, note}.

    Raises
    ------
    BadInput
        With the path and the claim's number, if one of them cannot be judged.
    """
    found = read_yaml(path)
    if not isinstance(found, list):
        raise BadInput(f"{path} should hold a list of claims: - {{metric: gini, relation: at_least, value: 0.6}}")
    return [_claim(entry, f"{path}, claim {place}") for place, entry in enumerate(found, start=1)]


def _claim(entry: Any, where: str) -> Claim:
    if not isinstance(entry, Mapping) or not {"metric", "relation", "value"} <= entry.keys():
        raise BadInput(f"{where} needs metric, relation and value")
    odd = sorted(str(key) for key in entry.keys() - {"metric", "relation", "value", "note"})
    if odd:
        raise unknown_name(f"key in {where}", odd[0], ["metric", "relation", "value", "note"])
    metric, relation, value = str(entry["metric"]), str(entry["relation"]), entry["value"]
    name = metric.rpartition(".")[2]
    if name not in METRICS:
        raise unknown_name(f"metric in {where}", metric, METRICS)
    if relation not in RELATIONS:
        raise unknown_name(f"relation in {where}", relation, RELATIONS)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise BadInput(f"{where} has the value {value!r}, which is no number")
    if name in OF_RUNS and not 0 <= value <= 1:
        raise BadInput(f"{where} has the value {value:g}: {name} is a share between 0 and 1, as in 0.85")
    return Claim(metric, relation, float(value), str(entry.get("note") or ""))


def judge(run: Run, claims: Sequence[Claim]) -> list[Judgement]:
    """Every claim with its verdict, in the order in which they were made."""
    return [_judgement(run, claim) for claim in claims]


def measure_of(name: str, attribution: str) -> Measure:
    """The number that a claim is about; ROS as the ratio that it is, not as its logarithm."""
    if name == "ros":
        why = "draws changed the prediction"
        return measures.column(
            attribution, "ros_norm", "ROS-norm", statistic="median", direction="↓", decimals=None, undefined=why
        )
    return METRICS[name].of(attribution)


def _judgement(run: Run, claim: Claim) -> Judgement:
    attribution, _, name = claim.metric.rpartition(".")
    first = next(iter(attribution_names([run])), "gradient")
    of = "" if name in OF_RUNS else attribution or first
    measure = measure_of(name, of)
    found = measures.estimate(measure, run)
    verdict, why = _verdict(claim, measure, found)
    label = f"{measure.label} of {attribution_name(of).lower()}" if of else measure.label
    return Judgement(claim, replace(measure, label=label), of, found, verdict, why)


def _verdict(claim: Claim, measure: Measure, found: Estimate | None) -> tuple[Verdict, str]:
    if found is None:
        return "not testable", "this was not measured"
    if math.isnan(found.low) or math.isnan(found.high):
        return "not testable", f"only {count(found.n, 'image')} with a value: there is no interval"
    ends = interval(measure.factor * found.low, measure.factor * found.high, measure.decimals)
    limit = number(measure.factor * claim.value, measure.decimals)
    at_least = claim.relation == "at_least"
    if (found.low >= claim.value) if at_least else (found.high <= claim.value):
        return "pass", f"the whole 95 % interval {ends} is {RELATIONS[claim.relation]} {limit}"
    if (found.high < claim.value) if at_least else (found.low > claim.value):
        return "fail", f"the whole 95 % interval {ends} is {'below' if at_least else 'above'} {limit}"
    return "not testable", f"not decided: the 95 % interval {ends} holds {limit}, so {_images(found)} cannot tell"


def _images(found: Estimate) -> str:
    return f"these {found.n:,} images"
