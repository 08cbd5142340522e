"""The paired t-test on Student's sleep data (Student 1908), and its effect size."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from live_r import r, vector
from scipy import stats

from pellucid.statistics import paired_test
from pellucid.statistics.paired import unbiasing

SLEEP = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4]
"""Student (1908): hours of additional sleep under two drugs, the difference for each of ten patients."""

DIFFERENCES = st.lists(st.floats(-10, 10).map(lambda one: round(one, 3)), min_size=3, max_size=9, unique=True)


def test_student_s_own_example():
    # R: with(sleep, t.test(extra[group == 2], extra[group == 1], paired = TRUE))
    found = paired_test(SLEEP)
    assert found.t == pytest.approx(4.062127683382, rel=1e-11)
    assert found.p == pytest.approx(0.002832890197, rel=1e-9)
    assert (found.estimate.low, found.estimate.high) == pytest.approx((0.700114236723, 2.459885763277), rel=1e-11)
    assert (found.estimate.value, found.spread) == pytest.approx((1.58, 1.229995483))
    assert found.effect == pytest.approx(1.58 / 1.229995483 * 0.9139, rel=1e-3)  # J(9), Hedges (1981), Table 2


def test_a_live_r_says_the_same():
    differences = [0.031, -0.004, 0.052, 0.017, 0.028]
    test = f"t.test({vector(differences)})"
    t, p, low, high = r(f"{test}$statistic, {test}$p.value, {test}$conf.int")
    found = paired_test(differences)
    assert (found.t, found.p, found.estimate.low, found.estimate.high) == pytest.approx((t, p, low, high), rel=1e-9)
    assert unbiasing(4) == pytest.approx(r("exp(lgamma(2) - log(sqrt(2)) - lgamma(1.5))")[0], rel=1e-12)


@given(DIFFERENCES)
def test_it_is_scipy_s_and_turns_with_the_sign(values):
    found, turned = paired_test(values), paired_test([-one for one in values])
    expected = stats.ttest_1samp(values, 0.0)
    assert (found.t, found.p) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-9)
    assert (turned.t, turned.effect, turned.p) == pytest.approx((-found.t, -found.effect, found.p))


def test_hedges_s_factor_makes_the_effect_smaller_and_vanishes_with_many_seeds():
    assert unbiasing(4) == pytest.approx(0.7979, abs=1e-4)
    assert unbiasing(10_000) == pytest.approx(1, abs=1e-4)
    assert unbiasing(1) == 0


def test_what_has_no_spread_or_too_few_seeds():
    for values in ([0.1, 0.1, 0.1], [0.1 + 0.2, 0.3, 0.3]):  # by chance or not: that cannot be told from them
        equal = paired_test(values)
        assert equal.estimate.value == pytest.approx(values[-1])
        assert np.isnan([equal.p, equal.t, equal.effect, equal.spread, equal.estimate.low, equal.estimate.high]).all()
    zeros = paired_test([0.0, 0.0])
    assert (zeros.p, zeros.effect, zeros.estimate.low, zeros.estimate.high) == (1, 0, 0, 0)
    single = paired_test([0.3, math.nan])
    assert (single.estimate.value, single.estimate.n, single.estimate.dropped) == (0.3, 1, 1)
    assert np.isnan([single.p, single.t, single.effect, single.spread]).all()
    assert paired_test([*SLEEP, math.nan]).p == paired_test(SLEEP).p
