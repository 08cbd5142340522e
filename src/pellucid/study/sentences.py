"""The results in sentences that can stand in a paper."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pellucid.report.words import count, interval, listing, number
from pellucid.study.templating import p_value

RULES = {
    "forgotten": "asked to be forgotten",
    "unfinished": "did not finish",
    "duplicates": "took part twice",
    "failed_checks": "failed the attention checks",
    "median_seconds": "answered too fast",
    "same_share": "gave the same rating throughout",
}
LIMITS = {
    "unfinished": "left out",
    "duplicates": "left out, but for the first",
    "failed_checks": "left out above {} failed",
    "median_seconds": "left out below a median of {} s on a rated stimulus",
    "same_share": "left out if {:.0%} of the ratings are the same, or more",
}


def participants_sentence(result: Mapping[str, Any]) -> str:
    """Who took part, and who was left out by which rule."""
    flow = result["participants"]
    left = [f"{number_of} {RULES[rule]}" for rule, number_of in flow["excluded"].items()]
    out = f" Left out by the frozen rules: {listing(left)}." if left else ""
    return (
        f"{count(flow['entered'], 'person', 'people')} took part; {flow['finished']} finished; the answers of "
        f"{flow['analysed']} were analysed.{out}"
    )


def sentences(result: Mapping[str, Any]) -> list[str]:
    """Participants, then per question means, overall test and contrasts, then the choices."""
    lines = [participants_sentence(result)]
    for name, found in result["questions"].items():
        lines += [_described(name, found), *_tested(name.capitalize(), found["repeated_measures"])]
        lines += _agreed(found["agreement"])
    return [line for line in [*lines, *_chosen(result["preference"])] if line]


def _described(name: str, found: Mapping[str, Any]) -> str:
    rows = [row for row in found["descriptive"] if row["n"]]
    if not rows:
        return f"{name.capitalize()} was not rated by anybody who is analysed."
    parts = [f"{row['model']} {number(row['mean']['value'], 2)}{_spread(row['sd'])}" for row in rows]
    missing = sum(row["missing"] for row in found["descriptive"])
    gaps = f"; {count(missing, 'rating')} missing" if missing else ""
    return (
        f"{name.capitalize()} was rated {listing(parts)} (mean ± standard deviation of single ratings, 1 to 5{gaps})."
    )


def _spread(sd: float) -> str:
    return "" if np.isnan(sd) else f" ± {number(sd, 2)}"


def _tested(subject: str, table: Mapping[str, Any], unit: str = "") -> list[str]:
    overall = table["friedman"]
    lines = []
    if not np.isnan(overall["p"]) and overall["df"] > 1:
        lines.append(
            f"{subject}: the models differ within participants (Friedman χ²({overall['df']}) = "
            f"{number(overall['chi2'], 2)}, {p_value(overall['p'])}, n = {overall['blocks']}, Kendall's W = "
            f"{number(overall['w'], 2)})."
            if overall["p"] < 0.05
            else f"{subject}: no difference between the models was found (Friedman χ²({overall['df']}) = "
            f"{number(overall['chi2'], 2)}, {p_value(overall['p'])}, n = {overall['blocks']})."
        )
    elif overall["note"]:
        lines.append(f"{subject}: {overall['note']}.")
    return lines + [_contrast(subject, row, unit) for row in table["contrasts"]]


def _contrast(subject: str, row: Mapping[str, Any], unit: str) -> str:
    names = f"{subject}, {row['first']} against {row['second']}"
    if row["note"] and row["pairs"] < 2:
        return f"{names}: {row['note']}."
    difference, effect = row["mean_difference"], row["rank_biserial"]
    factor = 100 if unit else 1
    places = 0 if unit else 2
    size = number(factor * difference["value"], places, signed=True) + (f" {unit}" if unit else "")
    ends = interval(factor * difference["low"], factor * difference["high"], places, signed=True)
    adjusted = f", Holm {p_value(row['p_holm'])}" if row["in_family"] else ""
    p = f"{'exact ' if row['exact'] else ''}{p_value(row['p'])}{adjusted}"
    verdict = "" if row["significant"] else " This is no evidence of a difference." if row["in_family"] else ""
    return (
        f"{names}: {size} {ends} (Wilcoxon signed-rank over {row['pairs']} participants, {row['zeros']} of them "
        f"without a difference: z = {number(row['z'], 2)}, {p}; matched-pairs rank-biserial r = "
        f"{number(effect['value'], 2)} "
        f"{interval(effect['low'], effect['high'], 2)}{_delta(row)}).{verdict}"
    )


def _delta(row: Mapping[str, Any]) -> str:
    delta = row["cliffs_delta"]
    if delta is None or np.isnan(delta["value"]):
        return ""
    return f"; Cliff's δ = {number(delta['value'], 2)} {interval(delta['low'], delta['high'], 2)}".rstrip()


def _agreed(found: Mapping[str, Any]) -> list[str]:
    alpha = found["krippendorff_alpha"]
    if np.isnan(alpha["value"]):
        return []
    ends = interval(alpha["low"], alpha["high"], 2)
    return [
        f"Participants agreed on single stimuli with Krippendorff's ordinal α = {number(alpha['value'], 2)} {ends}."
    ]


def _chosen(preference: Mapping[str, Any]) -> list[str]:
    if not preference["choices"]:
        return ["There were no side-by-side choices."]
    parts = [
        f"{row['model']} in {100 * row['share']['value']:.0f} % "
        f"{interval(100 * row['share']['low'], 100 * row['share']['high'], 0)}".rstrip()
        for row in preference["shares"]
    ]
    first = f"Side by side, participants chose {listing(parts)} of {count(preference['choices'], 'choice')}."
    return [first, *_tested("Choice", preference["participants"], "percentage points")]
