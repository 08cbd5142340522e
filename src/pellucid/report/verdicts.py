"""A verdict from numbers alone: what an interval says about a claimed inequality or equivalence."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from pellucid.report.contrasts import Difference
from pellucid.report.words import interval, number
from pellucid.statistics import equivalent

Verdict = Literal["holds", "does not hold", "within noise", "not testable here"]
Rule = Callable[[Difference], Verdict]

MARKS: dict[Verdict, str] = {"holds": "✓", "does not hold": "✗", "within noise": "≈", "not testable here": "–"}
"""One character a verdict, to stand before its word."""


def above(margin: float = 0.0) -> Rule:
    """Claim: the difference is greater than `margin`."""

    def judge(found: Difference) -> Verdict:
        low, high = found.estimate.low, found.estimate.high
        return _verdict(found, holds=low > margin, fails=high <= margin)

    return judge


def at_least(margin: float = 0.0) -> Rule:
    """Claim: the difference is `margin` or more."""

    def judge(found: Difference) -> Verdict:
        low, high = found.estimate.low, found.estimate.high
        return _verdict(found, holds=low >= margin, fails=high < margin)

    return judge


def within(tolerance: float) -> Rule:
    """Claim: the difference lies in ± `tolerance` (equivalence, so an interval that includes 0 is not enough).

    Over seeds two one-sided tests at 5 % decide (:func:`pellucid.statistics.equivalent`); with one seed the 95 %
    interval over images, which is a little stricter.
    """

    def judge(found: Difference) -> Verdict:
        low, high = found.estimate.low, found.estimate.high
        equal = equivalent(found.gaps, margin=tolerance).holds if found.gaps else -tolerance <= low <= high <= tolerance
        return _verdict(found, holds=equal, fails=low > tolerance or high < -tolerance)

    return judge


def _verdict(found: Difference, *, holds: bool, fails: bool) -> Verdict:
    if not found.estimate.low <= found.estimate.high:  # NaN
        return "not testable here"
    return "holds" if holds else "does not hold" if fails else "within noise"


@dataclass(frozen=True)
class Part:
    """One tested inequality: its claim in words, the difference (or why there is none), and the verdict."""

    claim: str
    difference: Difference | None
    verdict: Verdict
    reason: str = ""
    decimals: int | None = 3
    unit: str = ""

    @property
    def numbers(self) -> str:
        """`A − N = +0.132 [+0.120, +0.145] (1,000 shared images)`, or the reason."""
        if self.difference is None:
            return self.reason
        found, estimate = self.difference, self.difference.estimate
        value = number(estimate.value, self.decimals, signed=True)
        ends = interval(estimate.low, estimate.high, self.decimals, signed=True)
        unit = f" {self.unit}" if self.unit else ""
        basis = "; ".join(text for text in (found.basis, found.limits(self.decimals)) if text)
        return f"{found.first} − {found.second} = {value} {ends}{unit} ({basis})".replace("  ", " ")


def part(claim: str, found: Difference | str, rule: Rule, *, decimals: int | None = 3, unit: str = "") -> Part:
    """Judge one difference, or pass on why there is none."""
    if isinstance(found, str):
        return Part(claim, None, "not testable here", found)
    verdict = rule(found)
    return Part(claim, found, verdict, "", decimals, unit)


def conjunction(parts: Sequence[Part]) -> Verdict:
    """All must hold; one that does not hold refutes; one that cannot be tested leaves the rest untestable."""
    verdicts = {one.verdict for one in parts}
    order: tuple[Verdict, ...] = ("does not hold", "not testable here", "within noise")
    return next((verdict for verdict in order if verdict in verdicts), "holds" if parts else "not testable here")
