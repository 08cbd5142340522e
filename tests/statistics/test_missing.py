"""Bounds without assumptions on what is missing."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid.errors import BadInput
from pellucid.statistics.missing import bounds


def test_a_known_share_bounds_the_mean_by_manski_s_formula():
    # Manski (1989): E[y | known] P(known) + low P(missing) and + high P(missing); here 0.6 known in 3 of 4 cases.
    low, high = bounds([0.5, 0.6, 0.7, math.nan], low=0, high=1)
    assert (low, high) == pytest.approx((0.6 * 0.75, 0.6 * 0.75 + 0.25))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9), st.integers(0, 4), st.sampled_from(["mean", "median"]))
def test_the_truth_lies_between_the_bounds(values, missing, statistic):
    holes = np.array(values)
    holes[:missing] = np.nan
    low, high = bounds(holes, low=0, high=1, statistic=statistic)
    truth = {"mean": np.mean, "median": np.median}[statistic](values)
    assert low - 1e-12 <= truth <= high + 1e-12
    if not missing:
        assert low == high == pytest.approx(truth)


def test_levels_and_wrong_ends():
    low, high = bounds([[1.0, math.nan], [1.0, 1.0]], low=-1, high=1)
    assert (low, high) == (pytest.approx((1 + 0) / 2), 1)
    with pytest.raises(BadInput, match="low <= high"):
        bounds([1.0], low=1, high=0)
