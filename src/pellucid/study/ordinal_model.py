"""The proportional-odds model of ratings, with standard errors that respect participants.

It is not a mixed model: Python has no well-kept one for ordinal data. Models and images are fixed effects, and the
sandwich estimator over participants allows any dependence among the answers of one person (Liang and Zeger 1986). The
R script beside an analysis fits the mixed model, ``ordinal::clmm``, too.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid.errors import BadInput
from pellucid.statistics.intervals import Floats
from pellucid.study.table import Ratings

KIND = (
    "proportional-odds (cumulative logit) regression on model and image, with sandwich standard errors over "
    "participants (statsmodels OrderedModel)"
)


@dataclass(frozen=True)
class OrdinalFit:
    """Log odds ratios of a higher rating, against the first model, and their covariance [models − 1, models − 1]."""

    models: list[str]
    effects: Floats
    covariance: Floats

    def contrast(self, first: str, second: str) -> tuple[float, float]:
        """Log odds ratio of a higher rating under `first` than under `second`, and its standard error."""
        weights = np.zeros(len(self.models))
        weights[self.models.index(first)] += 1
        weights[self.models.index(second)] -= 1
        spread = float(weights[1:] @ self.covariance @ weights[1:])
        return float(weights[1:] @ self.effects), float(np.sqrt(max(spread, 0.0)))


def fit_ordinal(ratings: Ratings) -> OrdinalFit | str:
    """Fit the model, or say in one sentence why it cannot be fitted.

    Raises
    ------
    BadInput
        If statsmodels is not installed.
    """
    problem = _why_not(ratings)
    if problem:
        return problem
    design = np.hstack(
        [_indicators(ratings.model, len(ratings.models)), _indicators(ratings.image, len(ratings.images))]
    )
    codes = np.unique(ratings.value, return_inverse=True)[1]
    found = _fitted(codes, design, ratings.participant)
    if found is None:
        return "the proportional-odds model did not converge (a model or an image may have ratings at one end only)"
    k = len(ratings.models) - 1
    return OrdinalFit(ratings.models, found[0][:k], found[1][:k, :k])


def _why_not(ratings: Ratings) -> str:
    rated = set(ratings.model.tolist())
    if len(rated) < len(ratings.models):
        return "no proportional-odds model: a model has no ratings"
    if len(np.unique(ratings.value)) < 2:
        return "no proportional-odds model: all ratings are the same"
    if len(np.unique(ratings.participant)) < 2:
        return "no proportional-odds model: its standard errors need at least two participants"
    return ""


def _indicators(places: Any, levels: int) -> Floats:
    found: Floats = (places[:, None] == np.arange(1, levels)).astype(np.float64)
    return found


def _fitted(codes: Any, design: Floats, groups: Sequence[int] | Any) -> tuple[Floats, Floats] | None:
    """Estimates and their covariance, or None without convergence."""
    try:
        from statsmodels.miscmodels.ordinal_model import OrderedModel  # noqa: PLC0415 (slow to import)
    except ImportError as error:
        raise BadInput("the study's analysis needs the study extra: pip install 'pellucid[study]'") from error
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            model = OrderedModel(codes, design, distr="logit")
            start = model.fit(method="bfgs", disp=False, maxiter=500)
            clusters = {"cov_type": "cluster", "cov_kwds": {"groups": groups}}
            # Newton's own test of convergence asks for more than its numerical score can give; steps, then look.
            found = model.fit(start_params=start.params, method="newton", disp=False, maxiter=5, **clusters)
            slope = np.abs(model.score(found.params)).max()
        except (np.linalg.LinAlgError, ValueError):
            return None
    # Log odds beyond 15 are estimates on their way to infinity: ratings that one category separates.
    estimates, covariance = np.asarray(found.params), np.asarray(found.cov_params())
    steady = np.isfinite(covariance).all() and np.abs(estimates[: design.shape[1]]).max() < 15
    return (estimates, covariance) if steady and slope < 1e-3 else None
