"""The report's first lines: what the numbers say, in words that claim nothing beyond them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np

from pellucid.report import measures
from pellucid.report.arms import Arm, Column, estimate, runs_of, table
from pellucid.report.comparisons import compare
from pellucid.report.contents import attribution_names, trade_off_measures
from pellucid.report.contrasts import between
from pellucid.report.measures import Measure
from pellucid.report.relation import Relation
from pellucid.report.results import ranked
from pellucid.report.verdicts import Verdict
from pellucid.report.words import attribution_name, count, interval, listing, number, p_value, shortened

NARROW = "\N{NO-BREAK SPACE}"
DROPPED_WARNING = 0.1
"""Above this share of dropped draws a warning is printed: the survivors may not be like the dropped."""


def headline(columns: Sequence[Column]) -> list[str]:
    """A sentence for each number of the trade-off: who is first, and whether the data tell it from the second."""
    return [text for measure in trade_off_measures(columns) for text in _sentence(columns, measure)]


def _sentence(runs: Sequence[Column], measure: Measure) -> Iterator[str]:
    estimates = [estimate(measure, run) for run in runs]
    values = [np.nan if found is None else measure.factor * found.value for found in estimates]
    order = ranked(measure, values)
    if not order:
        return
    unit = f"{NARROW}{measure.unit}" if measure.unit else ""
    spelled = [f"{runs[place].name} ({number(values[place], measure.decimals)}{unit})" for place in order]
    if len(order) == 1:
        yield f"{measure.label}: {spelled[0]}."
        return
    best = "highest" if measure.direction == "↑" else "lowest, which is best,"
    first, second = runs[order[0]], runs[order[1]]
    others = listing(shortened(spelled[1:]))
    yield f"{measure.label} is {best} for {spelled[0]}; then {others}. {_gap(runs, measure, first, second)}"


def _gap(columns: Sequence[Column], measure: Measure, first: Column, second: Column) -> str:
    gap = between(first, second, measure)
    if isinstance(gap, str):
        return f"The gap is not tested: {gap}."
    if np.isnan(gap.estimate.low):
        return "The gap is not tested: its interval is undefined."
    found = gap.estimate
    unit = " points" if measure.unit == "%" else ""
    ends = interval(found.low, found.high, measure.decimals, signed=True)
    size = f"{number(found.value, measure.decimals, signed=True)}{unit} {ends}"
    said = f"{first.name}{NARROW}−{NARROW}{second.name} = {size}"
    if gap.seeds == 1:
        clear = found.low > 0 if measure.direction == "↑" else found.high < 0
        return f"{said}: {'more than' if clear else 'within'} the noise over images."
    # Which two are compared was seen in the data, so the test is the one that is corrected for all pairs.
    arms = [one for one in columns if isinstance(one, Arm)]
    names = {first.name, second.name}
    test = next(one for one in compare(arms, measure) if {one.difference.first, one.difference.second} == names)
    p = p_value(test.holm)
    return f"{said}: {'more than' if test.clear else 'within'} the noise over seeds (p{NARROW}{p} for all pairs)."


def tally(found: Sequence[Relation]) -> str:
    """How many of the published relations hold, do not hold, or cannot be told."""
    kinds = Counter(relation.verdict for relation in found)
    tested = len(found) - kinds["not testable here"]
    parts = [f"{kinds[kind]} {text[kinds[kind] > 1]}" for kind, text in _TALLY.items() if kinds[kind]]
    untested = sorted({one.key for one in found if one.verdict == "not testable here"}, key=claim_order)
    more = f" Not testable with these runs, at least in part: {listing(untested)}." if untested else ""
    return f"Published relations: {count(tested, 'check')} could be made; {listing(parts)}.{more}"


def claim_order(key: str) -> tuple[str, int]:
    """By which keys of claims are sorted: R2 before R10."""
    return key[0], int(key[1:])


_TALLY: dict[Verdict, tuple[str, str]] = {
    "holds": ("holds", "hold"),
    "does not hold": ("does not hold", "do not hold"),
    "within noise": ("is within noise", "are within noise"),
}
"""How a verdict is said of one relation and of several."""


def warnings(runs: Sequence[Column]) -> list[str]:
    """What a reader must know before trusting a number: confounds, weak controls, dropped draws, collapse."""
    found = list(_collapsed(runs))
    for name in attribution_names(runs_of(runs)):
        for check in (_scale_confound, _denominator, _no_better_than_random, _survivors):
            found += check(runs, name)
    return found


def _collapsed(runs: Sequence[Column]) -> Iterator[str]:
    """Models that give all images one class: with them no image of another class is classified correctly by all."""
    for run in runs_of(runs):
        predicted = run.accuracy.values.get("predicted")
        if predicted is not None and len(predicted) > 1 and np.ptp(predicted) == 0:
            yield (
                f"{run.path.name} gives all images the class '{run.class_name(int(predicted[0]))}', so the maps of all "
                "models are compared on images of that class only. Measure the others without it."
            )


def _scale_confound(runs: Sequence[Column], name: str) -> Iterator[str]:
    """Pairs that the legacy SSIM tells apart although the normalised SSIM does not, or the other way round."""
    clean, legacy = (measures.levels_mean(name, key, "SSIM") for key in ("ssim", "ssim_legacy"))
    pairs = []
    for one, two in combinations(runs, 2):
        seen, claimed = _sign(clean, one, two), _sign(legacy, one, two)
        if seen is not None and claimed and seen != claimed:
            high, low = (one, two) if claimed > 0 else (two, one)
            pairs.append(f"{high.name} above {low.name}{'' if seen == 0 else ' (normalised: below)'}")
    if pairs:
        yield (
            f"{attribution_name(name)}: the legacy SSIM puts {listing(shortened(pairs))}, which the normalised SSIM "
            f"does not show. The legacy number depends on the size of the gradients; map scales: {_scales(runs, name)}."
        )


def _sign(measure: Measure, first: Column, second: Column) -> int | None:
    """Which of two is clearly higher: 1, -1, or 0 within noise; None where that cannot be said."""
    gap = between(first, second, measure)
    if isinstance(gap, str) or np.isnan(gap.estimate.low):
        return None
    return int(gap.estimate.low > 0) - int(gap.estimate.high < 0)


def _scales(runs: Sequence[Column], name: str) -> str:
    scale = measures.column(name, "scale", "map scale", statistic="median")
    found = [(run.name, estimate(scale, run)) for run in runs]
    return listing(shortened([f"{who} {number(one.value, None)}" for who, one in found if one is not None]))


def _denominator(runs: Sequence[Column], name: str) -> Iterator[str]:
    """Pairs whose ROS differs although their maps do not change more: the logits change less (definitions §4.3)."""
    ratio = measures.column(name, "ros_norm", "ROS-norm", statistic="median")
    change = measures.column(name, "ros_norm_numerator", "numerator", statistic="log10_median")
    pairs = []
    for one, two in combinations(runs, 2):
        higher, more = _sign(ratio, one, two), _sign(change, one, two)
        if higher and more is not None and more != higher:
            high, low = (one, two) if higher > 0 else (two, one)
            pairs.append(f"{high.name} above {low.name}")
    if pairs:
        yield (
            f"{attribution_name(name)}: ROS-norm puts {listing(shortened(pairs))}, but the relative change of the map "
            "(the numerator) is not clearly larger there. The difference speaks of the change of the logits (the "
            "denominator) rather than of less stable maps."
        )


def _no_better_than_random(runs: Sequence[Column], name: str) -> Iterator[str]:
    for run in runs:
        gain = estimate(measures.aopc(name, kind="gain"), run)
        if gain is not None and gain.low <= 0:
            yield (
                f"{attribution_name(name)} of {run.name}: ROAD-AOPC is not clearly above that of a random map "
                f"({number(gain.value, signed=True)} {interval(gain.low, gain.high, signed=True)})."
            )


def _survivors(runs: Sequence[Column], name: str) -> Iterator[str]:
    for run in runs:
        values = table(measures.column(name, "ssim", "SSIM"), runs_of([run]))
        share = 0.0 if values is None else float(np.isnan(values).mean())
        if share > DROPPED_WARNING:
            yield (
                f"{attribution_name(name)} of {run.name}: {number(100 * share, 0)} % of the noisy draws were dropped "
                "from the SSIM; the numbers describe the images that survived."
            )
