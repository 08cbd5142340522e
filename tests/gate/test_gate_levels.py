"""The gate's promise: arms that are alike fail in at most a share alpha of cases; arms that are worse fail."""

import numpy as np
import pytest
from fake_arms import DEFAULT, alarms, pair, stated

from pellucid.gate import gate
from pellucid.report import read_run


@pytest.fixture(scope="module")
def run(two_runs):
    return read_run(two_runs / "N")


@pytest.mark.parametrize("sizes", [(1, 1), (3, 2)], ids=["one-seed", "several-seeds"])
def test_arms_of_one_recipe_fail_in_at_most_a_twentieth_of_200_repeats(run, sizes):
    assert alarms(run, sizes, 200, noise=stated()) <= 10


def test_one_model_measured_twice_with_noise_fails_in_at_most_a_twentieth_of_200_repeats(run):
    margins, quiet = dict.fromkeys(DEFAULT, 0.0), dict.fromkeys(DEFAULT, 0.0)
    assert 1 <= alarms(run, (1, 1), 200, noise=quiet, scope="model", margins=margins) <= 14  # 5 % + 2 errors


def test_without_the_noise_between_seeds_a_single_seed_would_mislead(run):
    """The simulation can fail: taken as models, alike recipes are found to differ far more often."""
    assert alarms(run, (1, 1), 40, noise=stated(), scope="model") > 10


@pytest.mark.parametrize("sizes", [(1, 1), (5, 5)], ids=["one-seed", "several-seeds"])
def test_a_clear_loss_is_found(run, sizes):
    baseline, candidate = pair(run, sizes, np.random.default_rng(0), noise=stated(), worse=0.4)
    found = gate(baseline, candidate, scope="recipe")
    assert [row.key for row in found.rows if row.failed] == ["gradient.gini"]


def test_more_seeds_find_smaller_losses(run):
    detects = []
    for sizes in [(1, 1), (8, 8)]:
        found = gate(*pair(run, sizes, np.random.default_rng(0), noise=stated()), scope="recipe")
        detects.append(next(row.detects for row in found.rows if row.key == "gradient.gini"))
    assert detects[1] < 0.7 * detects[0]
