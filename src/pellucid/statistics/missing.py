"""What a mean could be if the undefined values were known: bounds without any assumption. Imports no torch."""

import numpy as np
import numpy.typing as npt

from pellucid.errors import BadInput
from pellucid.statistics.intervals import aggregate


def bounds(values: npt.ArrayLike, *, low: float, high: float, statistic: str = "mean") -> tuple[float, float]:
    """The statistic with every NaN at `low`, and with every NaN at `high` (Manski 1989; Horowitz and Manski 2000).

    Parameters
    ----------
    values
        [n] or, for the mean, [n, levels].
    low, high
        The smallest and the largest value that an undefined one could have.

    Raises
    ------
    BadInput
        For an unknown statistic, or low above high.
    """
    if not low <= high:
        raise BadInput(f"bounds need low <= high; got {low} and {high}")
    table = np.asarray(values, dtype=np.float64)
    worst, best = (aggregate(np.where(np.isnan(table), end, table), statistic) for end in (low, high))
    return worst, best
