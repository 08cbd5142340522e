"""Two one-sided tests on Student's sleep data, against R and against the interval that they are equal to."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from live_r import r, vector

from pellucid.errors import BadInput
from pellucid.statistics import equal_within, equivalent, student

SLEEP = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4]  # Student (1908)
DIFFERENCES = st.lists(st.floats(-10, 10).map(lambda one: round(one, 3)), min_size=3, max_size=9, unique=True)


def test_both_sides_of_the_margin_are_r_s():
    # R: t.test(d, mu = 2.5, alternative = "less")$p.value and t.test(d, mu = -2.5, alternative = "greater")$p.value
    found = equivalent(SLEEP, margin=2.5)
    assert found.p == pytest.approx(max(2.111686025e-02, 1.200241738e-06), rel=1e-9)
    # R: t.test(d, conf.level = 0.9)$conf.int
    assert (found.estimate.low, found.estimate.high) == pytest.approx((0.8669947330, 2.293005267), rel=1e-9)
    assert found.holds
    assert not equivalent(SLEEP, margin=2.2).holds


def test_a_live_r_says_the_same():
    differences = [0.004, -0.011, 0.002, 0.007, -0.003]
    sides = [
        f't.test({vector(differences)}, mu = {mu}, alternative = "{side}")$p.value'
        for mu, side in ((-0.01, "greater"), (0.01, "less"))
    ]
    assert equivalent(differences, margin=0.01).p == pytest.approx(max(r(", ".join(sides))), rel=1e-9)


@given(DIFFERENCES, st.floats(0.1, 20), st.sampled_from([0.01, 0.05, 0.1]))
def test_it_holds_exactly_where_the_interval_lies_inside_the_margin(values, margin, level):
    inside = student(values, confidence=1 - 2 * level)
    found = equivalent(values, margin=margin, level=level)
    assert found.holds == (-margin < inside.low and inside.high < margin)
    assert found.p == pytest.approx(equivalent([-one for one in values], margin=margin, level=level).p)


@given(DIFFERENCES)
def test_the_smallest_margin_is_where_the_p_value_meets_the_level(values):
    smallest = equal_within(values)
    assert equivalent(values, margin=smallest).p == pytest.approx(0.05, abs=1e-9)
    assert equivalent(values, margin=1.01 * smallest).holds
    assert not equivalent(values, margin=0.99 * smallest).holds


def test_too_few_seeds_and_equal_differences():
    assert math.isnan(equivalent([0.1], margin=1).p)
    assert not equivalent([0.1], margin=1).holds
    assert math.isnan(equal_within([0.1, math.nan]))
    for equal in ([0.1, 0.1], [0.1 + 0.2, 0.3, 0.3]):
        assert math.isnan(equivalent(equal, margin=0.5).p)
        assert math.isnan(equal_within(equal))
    assert equivalent([0.0, 0.0], margin=0.1).p == 0


@pytest.mark.parametrize(("margin", "level"), [(0, 0.05), (-1, 0.05), (math.nan, 0.05), (1, 0), (1, 0.5)])
def test_impossible_margins_and_levels(margin, level):
    with pytest.raises(BadInput, match="margin > 0"):
        equivalent(SLEEP, margin=margin, level=level)
