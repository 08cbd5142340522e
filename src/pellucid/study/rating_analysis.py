"""What the ratings of one question say: description, the paper's tests, tests that respect participants, agreement."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, TypeAlias

import numpy as np
from scipy import stats

from pellucid.statistics.agreement import krippendorff_alpha
from pellucid.statistics.clusters import cluster_bootstrap, ratio, weighted_mean
from pellucid.statistics.groups import cliffs_delta, friedman, one_way_anova
from pellucid.statistics.intervals import Estimate, Floats
from pellucid.statistics.paired_ranks import rank_biserial, signed_rank, small_sample_signed_rank
from pellucid.study.ordinal_model import KIND, OrdinalFit, fit_ordinal
from pellucid.study.plan import Plan
from pellucid.study.protocol import POINTS
from pellucid.study.table import Ratings

Contrasts: TypeAlias = Sequence[tuple[str, str]]
_DECIMALS = 9  # differences of means that are equal on paper must be tied in the computer, too


def analyse_ratings(ratings: Ratings, expected: dict[str, int], contrasts: Contrasts, plan: Plan) -> dict[str, Any]:
    """All numbers of one question; what cannot be computed is NaN, and the `note` beside it says why.

    Parameters
    ----------
    ratings
        Of the participants that are analysed.
    expected
        How many ratings each model would have if none were missing.
    contrasts
        Pairs (first, second); positive numbers mean that the first is rated higher.
    """
    return {
        "descriptive": _descriptive(ratings, expected, plan),
        "as_published": _as_published(ratings, contrasts),
        "repeated_measures": _repeated_measures(ratings, contrasts, plan),
        "ordinal_model": _ordinal(ratings, contrasts),
        "agreement": _agreement(ratings, plan),
    }


def interval_of(found: Estimate) -> dict[str, Any]:
    """An estimate as plain numbers."""
    return {"value": found.value, "low": found.low, "high": found.high, "n": found.n}


def _descriptive(ratings: Ratings, expected: dict[str, int], plan: Plan) -> list[dict[str, Any]]:
    counts = ratings.counts()
    rows = []
    for place, model in enumerate(ratings.models):
        found = _described(ratings.of(place), counts[:, place], plan)
        rows.append({"model": model, "n": found["n"], "missing": expected[model] - found["n"], **found})
    return rows


def _described(values: Floats, counts: Floats, plan: Plan) -> dict[str, Any]:
    """One model's ratings [n], and how often each participant gave each of the five [participants, 5]."""
    mine = counts[counts.sum(axis=1) > 0]
    total, number = mine @ np.arange(1.0, POINTS + 1), mine.sum(axis=1)
    mean = cluster_bootstrap(
        lambda weights: ratio(weights @ total, weights @ number), len(mine), resamples=plan.resamples, seed=plan.seed
    )
    return {
        "n": len(values),
        "mean": interval_of(mean),
        "sd": float(values.std(ddof=1)) if len(values) > 1 else np.nan,
        "median": float(np.median(values)) if len(values) else np.nan,
        "distribution": [int(one) for one in mine.sum(0)],
        "note": {0: "no ratings", 1: "the ratings of one participant give no interval"}.get(len(mine), ""),
    }


def _as_published(ratings: Ratings, contrasts: Contrasts) -> dict[str, Any]:
    """T3S appendix F: Wilcoxon over all (participant, image) pairs, and one-way ANOVA over all ratings."""
    cube = ratings.cube()
    pairs = []
    for first, second in contrasts:
        one, two = (cube[:, :, ratings.models.index(name)] for name in (first, second))
        found = signed_rank(np.round(one - two, _DECIMALS).ravel())
        note = "" if found.pairs else "no participant rated an image under both models"
        note = "all pairs are equal" if found.pairs and found.pairs == found.zeros else note
        pairs.append({"first": first, "second": second, **asdict(found), "note": note})
    anova = one_way_anova([ratings.of(place) for place in range(len(ratings.models))])
    note = "" if not np.isnan(anova.f) else "no F: within every model all ratings are the same, or there are too few"
    return {"wilcoxon_over_pairs": pairs, "anova": {**asdict(anova), "note": note}}


def participant_means(cube: Floats) -> Floats:
    """Mean rating [participants, models] over the images that a participant rated under every model; NaN without."""
    complete = np.asarray(~np.isnan(cube).any(axis=2))
    total = np.where(complete[:, :, None], cube, 0.0).sum(axis=1)
    return ratio(total, np.broadcast_to(complete.sum(axis=1, keepdims=True), total.shape).astype(np.float64))


def _repeated_measures(ratings: Ratings, contrasts: Contrasts, plan: Plan) -> dict[str, Any]:
    means = np.round(participant_means(ratings.cube()), _DECIMALS)
    deltas = {pair: _cliff(ratings, pair, plan) for pair in contrasts}
    return compare(means, ratings.models, contrasts, plan, deltas)


def compare(
    table: Floats,
    models: list[str],
    contrasts: Contrasts,
    plan: Plan,
    deltas: dict[tuple[str, str], dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """Friedman's test, and Wilcoxon's per contrast with effect sizes, of one number a participant and model.

    Parameters
    ----------
    table
        [participants, models]; rows with a NaN are left out.
    deltas
        Cliff's delta of each contrast, if there is one.
    """
    complete = table[~np.isnan(table).any(axis=1)]
    overall = friedman(complete)
    note = (
        ""
        if not np.isnan(overall.p)
        else "no Friedman test: fewer than two participants answered for every model, or none tells them apart"
    )
    if len(models) == 2:
        note = note or "with two models this is a sign test; the contrast below uses more of the data"
    rows = []
    for first, second in contrasts:
        difference = np.round(complete[:, models.index(first)] - complete[:, models.index(second)], _DECIMALS)
        rows.append(_contrast(first, second, difference, plan) | {"cliffs_delta": (deltas or {}).get((first, second))})
    left_out = len(table) - len(complete)
    return {
        "participants": len(complete),
        "incomplete": left_out,
        "friedman": {**asdict(overall), "note": note},
        "contrasts": rows,
    }


def _contrast(first: str, second: str, difference: Floats, plan: Plan) -> dict[str, Any]:
    found = small_sample_signed_rank(difference)
    draws: dict[str, Any] = {"resamples": plan.resamples, "seed": plan.seed}
    mean = cluster_bootstrap(lambda weights: weighted_mean(difference, weights), len(difference), **draws)
    effect = cluster_bootstrap(lambda weights: rank_biserial(difference, weights), len(difference), **draws)
    return {
        "first": first,
        "second": second,
        **asdict(found),
        "in_family": False,
        "p_holm": np.nan,
        "significant": False,
        "mean_difference": interval_of(mean),
        "rank_biserial": interval_of(effect),
        "note": _why_undecided(found.pairs, found.zeros),
    }


def _why_undecided(participants: int, zeros: int) -> str:
    if participants == 0:
        return "no participant has an answer for every model"
    if participants == 1:
        return "one participant gives neither a test nor an interval"
    return "all participants treat both models alike: p is 1" if participants == zeros else ""


def _cliff(ratings: Ratings, pair: tuple[str, str], plan: Plan) -> dict[str, Any]:
    counts = ratings.counts()[:, [ratings.models.index(name) for name in pair]]
    counts = counts[counts.sum(axis=(1, 2)) > 0]
    found = cluster_bootstrap(
        lambda weights: cliffs_delta(counts[:, 0], counts[:, 1], weights),
        len(counts),
        resamples=plan.resamples,
        seed=plan.seed,
    )
    return interval_of(found)


def _ordinal(ratings: Ratings, contrasts: Contrasts) -> dict[str, Any]:
    found = fit_ordinal(ratings)
    if not isinstance(found, OrdinalFit):
        return {"kind": KIND, "contrasts": [], "note": found}
    reach = float(stats.norm.ppf(0.975))
    rows = []
    for first, second in contrasts:
        effect, error = found.contrast(first, second)
        z = effect / error if error > 0 else np.nan
        p = float(2 * stats.norm.sf(abs(z)))
        ends = {"low": effect - reach * error, "high": effect + reach * error}
        rows.append({"first": first, "second": second, "log_odds_ratio": effect, "se": error, "z": z, "p": p, **ends})
    return {"kind": KIND, "contrasts": rows, "note": ""}


def _agreement(ratings: Ratings, plan: Plan) -> dict[str, Any]:
    alpha = krippendorff_alpha(ratings.by_stimulus(), resamples=plan.resamples, seed=plan.seed)
    note = "" if not np.isnan(alpha.value) else "no alpha: all ratings are the same, or no stimulus has two of them"
    if alpha.n == 1:
        note = note or "one stimulus gives no interval"
    overall = friedman(np.round(participant_means(ratings.cube()), _DECIMALS))
    undefined = "no Kendall's W: too few participants, or none tells the models apart" if np.isnan(overall.w) else ""
    return {"krippendorff_alpha": interval_of(alpha) | {"note": note}, "kendalls_w": overall.w, "note": undefined}
