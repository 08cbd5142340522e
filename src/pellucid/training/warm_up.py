"""An attack that grows: eps from 0 to its full size, and the step size in proportion, where one is given."""

from dataclasses import replace
from functools import partial

from pellucid.errors import BadInput
from pellucid.training.regularisation import Regularised

GROWING = ("eps", "step_size")


def eps_at(objective: Regularised, share: float, progress: float) -> Regularised:
    """The objective with eps·min(1, progress/share), and so with the step size where it has a number of its own.

    At progress 0 the step size keeps its full size.

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
    # An attack refuses steps of no length; in a ball of no radius their length does not matter.
    words = GROWING if factor else ("eps",)
    grown = {word: factor * size for word in words if (size := function.keywords.get(word)) is not None}
    return replace(objective, objective=partial(function, **grown))
