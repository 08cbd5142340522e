import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from live_r import r, vector
from scipy.stats import ttest_rel

from pellucid.statistics.multiple import benjamini_hochberg, holm, paired_t_p

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


PUBLISHED = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459]
PUBLISHED += [0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0000]
"""The example of Benjamini and Hochberg (1995): at 5 % the first four are discoveries, of Bonferroni's tests three."""


def test_benjamini_and_hochbergs_own_example():
    found = benjamini_hochberg(PUBLISHED)
    assert (found <= 0.05).tolist() == [True] * 4 + [False] * 11
    assert (15 * np.array(PUBLISHED) <= 0.05).sum() == 3
    # R: p.adjust(c(0.0001, …, 1), "BH")
    expected = [0.0015, 0.003, 0.0095, 0.035625, 0.0603, 0.063857143, 0.063857143, 0.0645, 0.0765]
    expected += [0.486, 0.581181818, 0.714875, 0.753230769, 0.813214286, 1]
    np.testing.assert_allclose(found, expected, rtol=1e-8)


def test_a_live_r_adjusts_alike():
    plain = [0.02, 0.4, 0.02, 0.001, 0.03, 0.9]
    np.testing.assert_allclose(benjamini_hochberg(plain), r(f'p.adjust({vector(plain)}, "BH")'), rtol=1e-12)
    np.testing.assert_allclose(holm(plain), r(f'p.adjust({vector(plain)}, "holm")'), rtol=1e-12)


@given(P)
def test_a_false_discovery_rate_is_never_stricter_than_holm(plain):
    found = benjamini_hochberg(plain)
    assert (found >= np.asarray(plain)).all()
    assert (found <= holm(plain) + 1e-12).all()
    order = np.argsort(plain, kind="stable")
    assert (np.diff(found[order]) >= 0).all()
    assert math.isnan(benjamini_hochberg([*plain, math.nan])[-1])
    np.testing.assert_array_equal(benjamini_hochberg([*plain, math.nan])[:-1], found)


def test_the_paired_test_is_scipys_and_defined_for_equal_differences():
    one, two = np.array([0.7, 0.72, 0.69, 0.71]), np.array([0.66, 0.70, 0.68, 0.66])
    assert paired_t_p(one - two) == pytest.approx(ttest_rel(one, two, alternative="greater").pvalue)
    assert math.isnan(paired_t_p([0.1, 0.1]))
    assert math.isnan(paired_t_p([0.1 + 0.2, 0.3, 0.3]))  # equal but for rounding
    assert paired_t_p([0.0, 0.0]) == 1
    assert math.isnan(paired_t_p([0.3]))
