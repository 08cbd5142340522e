"""What published statistics imply about the data behind them, by arithmetic alone (definitions §4.8)."""

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from scipy import optimize, stats

from pellucid.errors import BadInput
from pellucid.statistics.intervals import Floats
from pellucid.study.effects import chances


@dataclass(frozen=True)
class PublishedQuestion:
    """What a paper reports about one rated question.

    Attributes
    ----------
    means, sds
        By model, in the order of the paper.
    f, p
        Of the one-way ANOVA over all ratings.
    wilcoxon
        Two-sided p by pair of models.
    """

    name: str
    means: dict[str, float]
    sds: dict[str, float]
    f: float
    p: float
    wilcoxon: dict[tuple[str, str], float]


@dataclass(frozen=True)
class PublishedStudy:
    """A study as reported: its design, its questions and the shares of the choices in per cent."""

    source: str
    participants: int
    images: int
    questions: tuple[PublishedQuestion, ...]
    shares: tuple[int, ...]


T3S = PublishedStudy(
    source="T3S §5, tables 4 and 8",
    participants=65,
    images=10,
    questions=(
        PublishedQuestion(
            "sufficiency",
            {"N": 2.08, "A": 2.99, "G": 3.33},
            {"N": 0.75, "A": 0.93, "G": 1.03},
            200.38,
            7.82e-72,
            {("N", "A"): 9.79e-41, ("A", "G"): 4.26e-14, ("N", "G"): 3.71e-27},
        ),
        PublishedQuestion(
            "trust",
            {"N": 2.02, "A": 3.08, "G": 3.14},
            {"N": 0.82, "A": 0.90, "G": 1.01},
            193.86,
            6.58e-70,
            {("N", "A"): 5.56e-39, ("A", "G"): 3.24e-11, ("N", "G"): 3.89e-24},
        ),
    ),
    shares=(58, 27, 15),
)


def audit(published: PublishedStudy = T3S) -> dict[str, Any]:
    """Everything the reported numbers imply, and whether they agree with the reported design.

    Raises
    ------
    BadInput
        If an F and its p cannot belong together for any number of ratings.
    """
    n = published.participants * published.images
    total = [_question(one, n) for one in published.questions]
    sizes = sorted({published.participants, n, *(found["per_model_from_f_and_p"] for found in total)})
    return {
        "source": published.source,
        "design": {
            "participants": published.participants,
            "images": published.images,
            "ratings_per_model": n,
            "df2": (n - 1) * len(published.questions[0].means),
        },
        "questions": total,
        "shares": {
            "per_cent": list(published.shares),
            "possible": {str(size): splits(published.shares, size) for size in sizes},
        },
    }


def denominator_df(f: float, p: float, df1: int) -> float:
    """The df2 at which an F with df1 has this p.

    For df1 = 2, p = (1 + 2 F / df2)^(-df2 / 2). Raises BadInput if there is none from 1 to 10⁷.
    """

    def miss(log_df: float) -> float:
        return float(stats.f.logsf(f, df1, np.exp(log_df)) - np.log(p))

    ends = (0.0, float(np.log(1e7)))
    if miss(ends[0]) * miss(ends[1]) > 0:
        raise BadInput(f"F = {f:g} and p = {p:g} do not belong together for any number of ratings")
    return float(np.exp(optimize.brentq(miss, *ends, xtol=1e-12)))


def anova_from_summary(means: list[float], sds: list[float], n: float) -> float:
    """F of a one-way ANOVA of groups of `n` with these means and standard deviations."""
    return n * float(np.var(means, ddof=1)) / float(np.mean(np.square(sds)))


def splits(per_cent: tuple[int, ...], n: int) -> int:
    """In how many ways `n` single votes divide so that the shares round to these per cents."""
    ranges = [[k for k in range(n + 1) if abs(100 * k / n - share) <= 0.5] for share in per_cent]
    found = {0: 1}
    for options in ranges:
        found = _added(found, options)
    return found.get(n, 0)


def _added(found: dict[int, int], options: list[int]) -> dict[int, int]:
    sums: dict[int, int] = {}
    for total, ways in found.items():
        for k in options:
            sums[total + k] = sums.get(total + k, 0) + ways
    return sums


def _question(one: PublishedQuestion, n: int) -> dict[str, Any]:
    k = len(one.means)
    means, sds = list(one.means.values()), list(one.sds.values())
    df2 = denominator_df(one.f, one.p, k - 1)
    per_model = round((df2 + k) / k)
    contrasts = [_contrast(one, pair, p, n) for pair, p in one.wilcoxon.items()]
    return {
        "question": one.name,
        "f": one.f,
        "p": one.p,
        "df2_from_f_and_p": df2,
        "ratings_from_f_and_p": round(df2 + k),
        "per_model_from_f_and_p": per_model,
        "per_model_from_means_and_sds": one.f / anova_from_summary(means, sds, 1),
        "f_from_means_and_sds": {str(size): anova_from_summary(means, sds, size) for size in (n, per_model)},
        "wilcoxon": contrasts,
        "out_of_order": _out_of_order(contrasts),
    }


def _contrast(one: PublishedQuestion, pair: tuple[str, str], p: float, n: int) -> dict[str, Any]:
    """The z behind a two-sided p, and the z of ratings with these means and spreads, uncorrelated within a pair."""
    first, second = pair
    low, high = (chances(one.means[name], one.sds[name]) for name in pair)
    return {
        "first": second,
        "second": first,
        "p": p,
        "z": float(stats.norm.isf(p / 2)),
        "mean_difference": one.means[second] - one.means[first],
        "z_if_uncorrelated": _signed_rank_z(n * np.outer(high, low)),
    }


def _signed_rank_z(counts: Floats) -> float:
    """The z of Wilcoxon's test (zeros dropped, ties) from how often each pair of ratings (row, column) occurs."""
    points = len(counts)
    above = np.array([np.trace(counts, -size) for size in range(1, points)])
    below = np.array([np.trace(counts, size) for size in range(1, points)])
    tied = above + below
    ranks = np.cumsum(tied) - tied / 2 + 0.5
    return float(ranks @ (above - below) / np.sqrt(np.square(ranks) @ tied))


def _out_of_order(contrasts: list[dict[str, Any]]) -> list[list[str]]:
    """Pairs of contrasts of which the one with the larger mean difference has the weaker evidence."""
    found = []
    for one, two in combinations(contrasts, 2):
        large, small = (one, two) if one["mean_difference"] > two["mean_difference"] else (two, one)
        if large["z"] < small["z"]:
            found.append([f"{large['first']} against {large['second']}", f"{small['first']} against {small['second']}"])
    return found


def sentences(found: dict[str, Any]) -> list[str]:
    """The audit in words."""
    design = found["design"]
    n = design["ratings_per_model"]
    lines = [
        f"{found['source']}: {design['participants']} participants × {design['images']} images give "
        f"{n} ratings a model, df2 = {design['df2']}."
    ]
    lines += [line for one in found["questions"] for line in _of_question(one, n)]
    shares = " / ".join(map(str, found["shares"]["per_cent"]))
    lines += [
        f"{shares} %: {'no split' if not ways else f'{ways} splits' if ways > 1 else 'one split'} of {size} votes "
        f"round{'s' if ways < 2 else ''} to these shares."
        for size, ways in found["shares"]["possible"].items()
    ]
    return lines


def _of_question(one: dict[str, Any], n: int) -> list[str]:
    name = one["question"].capitalize()
    implied = "; ".join(f"n = {size}: F = {f:.0f}" for size, f in one["f_from_means_and_sds"].items())
    return [
        f"{name}: F = {one['f']:g} with p = {one['p']:.3g} means df2 = {one['df2_from_f_and_p']:.1f}, "
        f"{one['ratings_from_f_and_p']} ratings, {one['per_model_from_f_and_p']} a model.",
        f"{name}: the means and standard deviations give that F at "
        f"n = {one['per_model_from_means_and_sds']:.0f} a model ({implied}).",
        *(
            f"{name}, {row['first']} against {row['second']}: p = {row['p']:.3g} means |z| = {row['z']:.2f} for a mean "
            f"difference of {row['mean_difference']:.2f}; ratings with these means and standard deviations, "
            f"uncorrelated within {n} pairs, give about {row['z_if_uncorrelated']:.2f}."
            for row in one["wilcoxon"]
        ),
        *(
            f"{name}: {large} has the larger mean difference but weaker evidence than {small}."
            for large, small in one["out_of_order"]
        ),
    ]
