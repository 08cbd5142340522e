"""An attack that grows: eps (and the step size, where one is given) from 0 to its full size."""

from dataclasses import replace
from functools import partial

from pellucid.errors import BadInput
from pellucid.training.regularisation import Regularised

GROWING = ("eps", "step_size")


def eps_at(objective: Regularised, share: float, progress: float) -> Regularised:
    """The objective with eps·min(1, progress/share), and so with the step size where it has a number of its own.

    Parameters
    ----------
    share
        Share of the steps over which eps grows; with 0 the objective is returned as it is.
    progress
        Share of the steps that are done, in [0, 1).

    Raises
    ------
    BadInput
        If the objective has no eps bound to it as a keyword.
    """
    if not share:
        return objective
    function = objective.objective
    if not isinstance(function, partial) or "eps" not in function.keywords:
        raise BadInput("eps_warm_up lets an objective's eps grow; this objective has none, leave eps_warm_up out")
    factor = progress / share
    if factor >= 1:
        return objective
    grown = {word: factor * size for word in GROWING if (size := function.keywords.get(word)) is not None}
    return replace(objective, objective=partial(function, **grown))
