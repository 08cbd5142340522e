"""What the side-by-side choices say."""

from typing import Any

import numpy as np

from pellucid.statistics.clusters import ratio
from pellucid.statistics.intervals import Floats
from pellucid.statistics.multiple import holm
from pellucid.statistics.shares import chance_p, cluster_shares, goodman, goodness_of_fit
from pellucid.study.plan import Plan
from pellucid.study.rating_analysis import Contrasts, compare, interval_of


def analyse_choices(counts: Floats, models: list[str], contrasts: Contrasts, plan: Plan) -> dict[str, Any]:
    """Shares with intervals over participants, tests against 1/K, and contrasts of participants' shares.

    Parameters
    ----------
    counts
        [participants, models], how often each participant chose each model.

    Returns
    -------
    dict
        `shares` (each with Holm's p over the K tests against 1/K), `independent` (Goodman's intervals and χ², which
        take every choice as another person's), `participants` (Friedman and Wilcoxon on shares within participants).
    """
    chosen = counts.sum(axis=1)
    chance = chance_p(counts)
    shares = cluster_shares(counts, resamples=plan.resamples, seed=plan.seed)
    rows = [
        {
            "model": model,
            "chosen": int(counts[:, k].sum()),
            "share": interval_of(shares[k]),
            "p": chance[k],
            "p_holm": p,
        }
        for k, (model, p) in enumerate(zip(models, holm(chance), strict=True))
    ]
    chi2, p = goodness_of_fit(counts.sum(axis=0))
    independent = {
        "chi2": chi2,
        "p": p,
        "shares": [interval_of(one) for one in goodman(counts.sum(axis=0))],
    }
    each = ratio(counts, np.broadcast_to(chosen[:, None], counts.shape).copy())
    return {
        "choices": int(chosen.sum()),
        "shares": rows,
        "independent": independent,
        "participants": compare(each, models, contrasts, plan),
        "note": _note(counts, chance),
    }


def _note(counts: Floats, chance: Floats) -> str:
    if counts.sum() == 0:
        return "no choices"
    if (counts.sum(axis=1) > 0).sum() == 1:
        return "the choices of one participant give neither a test nor an interval"
    return "a share that all participants have in common has no test against chance" if np.isnan(chance).any() else ""
