"""One claimed relation, its parts, and the verdict that follows from them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from pellucid.report.contrasts import contrast
from pellucid.report.measures import Measure
from pellucid.report.runs import Run
from pellucid.report.verdicts import Part, Rule, Verdict, conjunction, part

ONE_SEED = (
    "One seed per arm: the interval says how the difference varies over images, not how it would vary if the models "
    "were trained again. At least five seeds an arm are needed for that."
)
FEW_SEEDS = "Fewer than five seeds an arm: the interval over seeds is wide, and rests on normality."


@dataclass(frozen=True)
class Relation:
    """One relation for one attribution and definition, with everything the verdict rests on.

    `parts` are all required; `context` is shown beside them and decides nothing.
    """

    key: str
    claim: str
    scope: str
    published: str
    verdict: Verdict
    parts: tuple[Part, ...]
    context: tuple[Part, ...] = ()
    caveat: str = ""

    @property
    def reason(self) -> str:
        """Why it cannot be tested, empty where it can."""
        reasons = dict.fromkeys(one.reason for one in self.parts if one.verdict == "not testable here")
        return "; ".join(reason or "the interval is undefined" for reason in reasons)

    @property
    def summary(self) -> str:
        """The numbers of a few parts, or how many of many parts hold."""
        if len(self.parts) <= 3:
            return "; ".join(one.numbers for one in self.parts)
        tally = Counter(one.verdict for one in self.parts)
        kinds = ", ".join(f"{verdict}: {number}" for verdict, number in tally.items())
        return f"{len(self.parts)} comparisons ({kinds})"


def relation(
    key: str, claimed: tuple[str, str], scope: str, parts: Sequence[Part], *, context: Sequence[Part] = ()
) -> Relation:
    """The relation `key`, `claimed` = (claim, published support), judged by its parts, with what must be said of it."""
    claim, published = claimed
    seeds = [one.difference.seeds for one in parts if one.difference is not None]
    caveat = "" if not seeds or min(seeds) >= 5 else ONE_SEED if min(seeds) == 1 else FEW_SEEDS
    return Relation(key, claim, scope, published, conjunction(parts), tuple(parts), tuple(context), caveat)


def unmeasured(why: str) -> Part:
    """A part that these runs cannot test."""
    return Part("", None, "not testable here", why)


def part_of(runs: Sequence[Run], measure: Measure, first: str, second: str, *, rule: Rule, claim: str) -> Part:
    """The difference of two roles in one measure, judged by a rule."""
    unit = "points" if measure.unit == "%" else ""
    return part(claim, contrast(runs, measure, first, second), rule, decimals=measure.decimals, unit=unit)
