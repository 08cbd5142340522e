"""A regression gate: is a candidate worse than its baseline by more than a margin? Imports no torch."""

from pellucid.gate.judging import SCOPES, Gate, gate
from pellucid.gate.metrics import METRICS, parse
from pellucid.gate.output import summary, to_json, to_junit, to_table
from pellucid.gate.rows import Row
from pellucid.gate.sides import read_side

__all__ = [
    "METRICS",
    "SCOPES",
    "Gate",
    "Row",
    "gate",
    "parse",
    "read_side",
    "summary",
    "to_json",
    "to_junit",
    "to_table",
]
