"""The plain tables of a grid's report: comparisons, agreement, undefined values, driving images, cells."""

from collections.abc import Sequence

import numpy as np

from pellucid.report.agreement import rank_correlations
from pellucid.report.arms import Arm, runs_of, seed_values
from pellucid.report.comparisons import Comparison
from pellucid.report.contents import trade_off_measures
from pellucid.report.drivers import Drivers
from pellucid.report.measures import Measure
from pellucid.report.reading import lookup
from pellucid.report.sheets import Entry, Link, Sheet, Thumbnail, Value
from pellucid.report.survivors import order_is_open, survivors
from pellucid.report.words import DASH, count, interval, number, p_value
from pellucid.statistics import Estimate

TESTS_NOTE = (
    "Difference: mean over the seeds that both arms have, with Student's 95 % interval; it speaks of new seeds, on the "
    "images that were measured. A verdict on these images: the interval over seeds and images (bootstrap, 95 %) "
    "includes 0, so other images could show none. p: two-sided paired t-test, adjusted by Holm for all pairs of arms "
    "within the metric (the verdict rests on it), and by Benjamini and Hochberg for all pairs in all metrics. g: "
    "Hedges's effect size of paired differences. Detectable: the smallest true difference that these seeds would have "
    "found with a probability of 80 %. Equal within: the smallest margin at which two one-sided tests call the arms "
    "equal (5 %)."
)
UNDEFINED_NOTE = (
    "Undefined values are left out of every mean. The bounds replace all of them by the lowest and by the highest "
    "value that the metric can have (where that has no end: by the extremes that occurred). Order open to: arms that "
    "the undefined values could put on the other side. Images that no run has a value for were not measured, and do "
    "not count."
)


def comparison_sheet(found: Sequence[Comparison], name: str = "comparisons") -> Sheet:
    """One line a pair of arms and metric, to be read."""
    head = ("metric", "arms", "difference", "p (Holm)", "p (BH)", "g", "detectable", "equal within", "verdict")
    rows = tuple(_comparison_row(one) for one in found)
    return Sheet(name, "Every pair of arms, paired by seed", head, rows, (TESTS_NOTE,))


def _comparison_row(one: Comparison) -> tuple[Entry, ...]:
    decimals, estimate = one.measure.decimals, one.difference.estimate
    size = number(estimate.value, decimals, signed=True)
    return (
        _metric(one.measure),
        f"{one.difference.first} − {one.difference.second}",
        f"{size} {interval(estimate.low, estimate.high, decimals, signed=True)}",
        Value(one.holm, text=p_value(one.holm)),
        Value(one.discovery, text=p_value(one.discovery)),
        Value(one.test.effect, 2, signed=True),
        Value(one.detectable, decimals),
        DASH if one.clear else f"±{number(one.equal_within, decimals)}",
        verdict(one),
    )


def verdict(one: Comparison) -> str:
    """`P better`, or that the seeds cannot tell; `P better, on these images` where other images need not show it."""
    if not one.clear:
        return "within noise"
    told = f"{one.leader} better" if one.leader else "differ"
    return f"{told}, on these images" if one.difference.on_these_images else told


def comparison_numbers(found: Sequence[Comparison]) -> Sheet:
    """The same for programs, every number in a column of its own."""
    head = "key metric unit better first second difference low high anew_low anew_high spread t p p_holm p_bh"
    head += " hedges_g detectable equal_within seeds images verdict"
    return Sheet("comparisons", "Comparisons", tuple(head.split()), tuple(_numbers_row(one) for one in found))


def _numbers_row(one: Comparison) -> tuple[Entry, ...]:
    gap, test = one.difference, one.test
    anew = gap.anew or Estimate(gap.estimate.value, np.nan, np.nan, gap.seeds)
    ends = (gap.estimate.value, gap.estimate.low, gap.estimate.high, anew.low, anew.high)
    tests = (test.spread, test.t, test.p, one.holm, one.discovery, test.effect, one.detectable, one.equal_within)
    direction = {"↑": "higher", "↓": "lower"}.get(one.measure.direction, "")
    words = (one.measure.key, one.measure.label, one.measure.unit, direction, gap.first, gap.second)
    return (*words, *map(Value, ends), *map(Value, tests), str(gap.seeds), str(gap.images), verdict(one))


AGREEMENT_NOTE = (
    "Kendall's τ-b over the arms' means, best first: 1 if both metrics rank the arms alike, −1 if the other way round."
)


def agreement_sheet(arms: Sequence[Arm], measures: Sequence[Measure]) -> Sheet | None:
    """Kendall's τ between metrics; None below three arms."""
    if len(arms) < 3 or len(measures) < 2:
        return None
    rows: tuple[tuple[Entry, ...], ...] = tuple(
        (_metric(measure), *(Value(float(tau), 2) for tau in line))
        for measure, line in zip(measures, rank_correlations(arms, measures), strict=True)
    )
    head = ("Kendall's τ of the arms' order", *(measure.label for measure in measures))
    return Sheet("agreement", "Do the metrics rank the arms alike?", head, rows, (AGREEMENT_NOTE,))


def survivor_sheet(arms: Sequence[Arm], measures: Sequence[Measure]) -> Sheet:
    """Share of undefined values, and what the numbers could be with them."""
    rows: list[tuple[Entry, ...]] = []
    for measure in measures:
        found = survivors(arms, measure)
        names = [one.arm for one in found]
        for one in found:
            open_to = [name for name in names if name != one.arm and order_is_open(found, one.arm, name)]
            ends = f"{number(one.low, measure.decimals)} to {number(one.high, measure.decimals)}"
            share, value = Value(100 * one.undefined, 1), Value(one.value, measure.decimals)
            rows.append((_metric(measure), one.arm, share, value, ends, ", ".join(open_to) or DASH))
    head = (
        "metric",
        "arm",
        "undefined (%)",
        "of the defined",
        "if all undefined were lowest to highest",
        "order open to",
    )
    return Sheet("survivors", "What was undefined, and what it could change", head, tuple(rows), (UNDEFINED_NOTE,))


def driver_sheet(found: Sequence[Drivers], setting: str = "") -> Sheet:
    """The images that drive each difference; `setting` tells those of several data sets on one page apart."""
    rows: tuple[tuple[Entry, ...], ...] = tuple(
        (
            _metric(one.measure),
            f"{one.first} − {one.second}",
            Thumbnail(image.image, setting),
            image.label,
            Value(image.first, one.measure.decimals),
            Value(image.second, one.measure.decimals),
            Value(image.difference, one.measure.decimals, signed=True),
        )
        for one in found
        for image in one.images
    )
    head = ("metric", "arms", "image", "class", "first", "second", "difference")
    return Sheet("images", "Images that drive a difference", head, rows)


def drivers_sentence(one: Drivers) -> str:
    """How broad a difference is."""
    decimals = one.measure.decimals
    total = number(one.total, decimals, signed=True)
    return (
        f"{one.measure.label}: {one.first} − {one.second} = {total} on the images "
        f"that both have; {number(100 * one.agreeing, 0)} % of the images agree in direction, and without the "
        f"{count(one.few, 'image')} (5 %) with the largest share {number(one.without, decimals, signed=True)} is left."
    )


def cell_sheet(arms: Sequence[Arm]) -> Sheet:
    """One line a run, with the way to its folder."""
    measures = trade_off_measures(arms)
    numbers = {measure.key: [value for arm in arms for value in seed_values(measure, arm)] for measure in measures}
    known = [measure for measure in measures if not np.isnan(numbers[measure.key]).all()]
    rows: list[tuple[Entry, ...]] = []
    owners = [arm for arm in arms for _ in arm.runs]
    for place, (arm, run) in enumerate(zip(owners, runs_of(arms), strict=True)):
        values = [Value(numbers[measure.key][place], measure.decimals) for measure in known]
        hashes = [str(lookup(run.manifest, key) or DASH)[:12] for key in ("weights.sha256", "code_sha256")]
        seconds = lookup(run.manifest, "cost.seconds")
        time = Value(float(seconds) if isinstance(seconds, int | float) else float("nan"), None)
        rows.append((Link(run.name, f"../{run.folder}/"), arm.name, Value(run.seed, 0), *values, time, *hashes))
    head = ("run", "arm", "seed", *map(_metric, known), "training (s)", "weights", "code")
    return Sheet("cells", "Every run", head, tuple(rows))


def _metric(measure: Measure) -> str:
    unit = f" ({measure.unit})" if measure.unit else ""
    return f"{measure.label}{unit} {measure.direction}".rstrip()
