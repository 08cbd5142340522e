"""What was undefined, and what it could change."""

import numpy as np
import pytest
from constructed import seeds_of, spread

from pellucid.report import measures
from pellucid.report.arms import arms_of
from pellucid.report.grid_sheets import survivor_sheet
from pellucid.report.survivors import order_is_open, survivors

GINI = measures.column("gradient", "gini", "Gini", direction="↑")
ROS = measures.column("gradient", "ros_norm", "ROS-norm", statistic="median", direction="↓")


def holes(mean, count):
    values = spread(mean)
    values[:count] = np.nan
    return values


def arms(lost_n=10, lost_a=0, key="gini", means=(0.5, 0.6)):
    runs = seeds_of("N", [{key: holes(means[0], lost_n)}] * 2) + seeds_of("A", [{key: holes(means[1], lost_a)}] * 2)
    return arms_of(runs)


def test_bounds_put_all_undefined_values_at_the_ends_of_the_metric():
    natural, robust = survivors(arms(), GINI)
    assert (natural.arm, natural.undefined, natural.value) == ("N", 0.1, pytest.approx(0.5))
    assert (natural.low, natural.high) == pytest.approx((0.45, 0.55))
    assert (robust.undefined, robust.low, robust.high) == (0, pytest.approx(0.6), pytest.approx(0.6))
    assert not order_is_open([natural, robust], "N", "A")
    assert order_is_open(survivors(arms(lost_n=30), GINI), "N", "A")


def test_where_a_metric_has_no_end_the_extremes_that_occurred_are_taken():
    found = survivors(arms(lost_n=60, key="ros_norm", means=(3.0, 8.0)), ROS)[0]
    assert (found.value, found.low, found.high) == pytest.approx((3, 3, 8))


def test_nothing_undefined_is_no_entry_and_unmeasured_images_do_not_count():
    assert survivors(arms(lost_n=0), GINI) == []
    assert survivors(arms(lost_n=30, lost_a=30), GINI) == []
    assert survivors(arms(), ROS) == []


def test_the_table_names_the_arms_whose_order_is_open():
    rows = survivor_sheet(arms(lost_n=30), [GINI, ROS]).rows
    assert [[str(entry) for entry in row] for row in rows] == [
        ["Gini ↑", "N", "30.0", "0.500", "0.350 to 0.650", "A"],
        ["Gini ↑", "A", "0.0", "0.600", "0.600 to 0.600", "N"],
    ]
