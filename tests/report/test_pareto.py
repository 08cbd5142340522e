"""The front of what no arm beats in both accuracy and metric."""

import numpy as np
from constructed import first, run, seeds_of, spread
from hypothesis import given
from hypothesis import strategies as st

from pellucid.report.arms import arms_of
from pellucid.report.figures.pareto import front, pareto

ACCURACY, METRIC = np.array([90.0, 80.0, 70.0]), np.array([0.5, 0.4, 0.9])


def test_the_front_is_the_best_metric_at_no_less_accuracy():
    at = np.array([60.0, 70.0, 75.0, 80.0, 85.0, 90.0, 95.0])
    np.testing.assert_array_equal(front(ACCURACY, METRIC, at, sign=1), [0.9, 0.9, 0.5, 0.5, 0.5, 0.5, np.nan])
    np.testing.assert_array_equal(front(ACCURACY, METRIC, at, sign=-1), [0.4, 0.4, 0.4, 0.4, 0.5, 0.5, np.nan])


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 1)), min_size=1, max_size=6))
def test_no_arm_lies_beyond_the_front_and_it_never_rises(points):
    accuracy, metric = np.array(points).T
    at = np.sort(accuracy)
    found = front(accuracy, metric, at, sign=1)
    assert (np.diff(found) <= 0).all()
    assert (metric <= front(accuracy, metric, accuracy, sign=1)).all()


def test_it_needs_several_arms_that_share_seeds():
    def arm(name, seeds, correct):
        return seeds_of(name, [{"gini": spread(0.5 + seed / 100), "correct": first(correct)} for seed in range(seeds)])

    drawn = pareto(arms_of(arm("N", 3, 900) + arm("A", 3, 800)))
    assert drawn.name == "pareto"
    assert "natural accuracy against Gini" in drawn.alt
    assert pareto(arms_of(arm("N", 3, 900))) is None
    assert pareto([run("N", gini=spread(0.5)), run("A", gini=spread(0.6))]) is None
    assert pareto(arms_of(arm("N", 2, 900) + arm("A", 3, 800)[2:])) is None


def test_the_same_arms_give_the_same_bytes():
    arms = arms_of(seeds_of("N", [{"gini": spread(0.5)}] * 2) + seeds_of("A", [{"gini": spread(0.6)}] * 2))
    assert pareto(arms).svg == pareto(arms).svg
