import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_rel

from pellucid.statistics.multiple import holm, paired_t_p

P = st.lists(st.floats(0, 1), min_size=1, max_size=8)


def test_holms_own_steps():
    # R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.6, 0.7]), [1, 1])


@given(P)
def test_it_lies_between_the_plain_value_and_bonferronis_and_keeps_the_order(plain):
    adjusted = holm(plain)
    assert (adjusted >= np.asarray(plain)).all()
    assert (adjusted <= np.minimum(len(plain) * np.asarray(plain), 1)).all()
    order = np.argsort(plain, kind="stable")
    assert (np.diff(adjusted[order]) >= 0).all()


def test_an_unknown_value_stays_unknown_and_costs_nothing():
    found = holm([0.02, math.nan, 0.03])
    np.testing.assert_allclose(found[[0, 2]], [0.04, 0.04])
    assert math.isnan(found[1])


def test_the_paired_test_is_scipys_and_defined_for_equal_differences():
    one, two = np.array([0.7, 0.72, 0.69, 0.71]), np.array([0.66, 0.70, 0.68, 0.66])
    assert paired_t_p(one - two) == pytest.approx(ttest_rel(one, two, alternative="greater").pvalue)
    assert paired_t_p([0.1, 0.1]) == 0
    assert paired_t_p([0.0, 0.0]) == 1
    assert math.isnan(paired_t_p([0.3]))
