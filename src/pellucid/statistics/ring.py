"""Numbers that each compare one seed's model with the next seed's. Imports no torch."""

import numpy as np
import numpy.typing as npt


def ring_pseudovalues(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Jackknife pseudovalues [n] of the mean of values [n] around a ring of seeds, where value i is of seeds i and i+1.

    Neighbours share a model, so a t-test of the values themselves takes them for more evidence than they are: with five
    seeds and no difference it finds one in a sixth of the cases. The i-th pseudovalue is what seed i, which two values
    know, brings to the mean (Quenouille 1956, Tukey 1958): their mean is that of the values, and a t-test of them
    speaks of n seeds. NaN below three seeds: a ring of two is one pair, seen twice.
    """
    known = np.asarray(values, dtype=np.float64)
    n = len(known)
    if n < 3:
        return np.full(n, np.nan)
    without = (known.sum() - known - np.roll(known, 1)) / (n - 2)
    return np.asarray(n * known.mean() - (n - 1) * without)
