"""Power and detectable differences against R and G*Power's manual; the noise floor against R's pooled error."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from live_r import r, vector
from scipy import stats

from pellucid.errors import BadInput
from pellucid.statistics import detectable_difference, noise_floor, paired_test, power, replicate_floor

PLANTS = [  # R: PlantGrowth (Dobson 1983), dried weights by treatment
    [4.17, 5.58, 5.18, 6.11, 4.50, 4.61, 5.17, 4.53, 5.33, 5.14],
    [4.81, 4.17, 4.41, 3.59, 5.87, 3.83, 6.03, 4.89, 4.32, 4.69],
    [6.31, 5.12, 5.54, 5.50, 5.37, 5.29, 4.92, 6.15, 5.80, 5.26],
]


def test_the_worked_example_of_g_power():
    # G*Power 3.1 manual, difference between two dependent means: n = 50, dz = 0.421637, two-tailed: power 0.832114
    assert power(0.421637, seeds=50) == pytest.approx(0.832114, abs=5e-7)
    # R: power.t.test(n = 50, delta = 0.421637, sd = 1, type = "paired", strict = TRUE)$power
    assert power(0.421637, seeds=50) == pytest.approx(0.8321144618, abs=1e-9)


@pytest.mark.parametrize(("seeds", "delta"), [(3, 3.26404355), (5, 1.681996966), (10, 0.9960013715)])
def test_the_detectable_difference_is_r_s(seeds, delta):
    # R: power.t.test(n = 5, sd = 1, power = 0.8, type = "paired", strict = TRUE, tol = 1e-10)$delta
    assert detectable_difference(1.0, seeds=seeds) == pytest.approx(delta, rel=1e-7)
    assert detectable_difference(0.02, seeds=seeds) == pytest.approx(0.02 * delta, rel=1e-7)


def test_a_live_r_says_the_same():
    call = 'power.t.test(n = 4, sd = 0.7, power = 0.9, type = "paired", sig.level = 0.01, strict = TRUE, tol = 1e-10)'
    assert detectable_difference(0.7, seeds=4, level=0.01, power=0.9) == pytest.approx(r(f"{call}$delta")[0], rel=1e-6)
    fit = f"summary(lm(y ~ g, data.frame(y = {vector(np.ravel(PLANTS))}, g = gl(3, 10))))$sigma"
    assert noise_floor(PLANTS) == pytest.approx(r(f"{fit} * qt(0.975, 27) * sqrt(2 / 10)")[0], rel=1e-10)


@given(st.floats(0, 3), st.integers(2, 30))
def test_power_grows_from_the_level_with_effect_and_seeds(effect, seeds):
    assert power(0.0, seeds=seeds) == pytest.approx(0.05, abs=1e-9)
    assert power(effect, seeds=seeds) == pytest.approx(power(-effect, seeds=seeds), abs=1e-9)
    assert power(effect + 0.1, seeds=seeds) > power(effect, seeds=seeds) - 1e-9
    assert power(effect, seeds=seeds + 1) > power(effect, seeds=seeds) - 1e-9


def test_drawn_differences_are_found_as_often_as_promised():
    rng, size = np.random.default_rng(0), detectable_difference(0.5, seeds=5)
    drawn = rng.normal(size, 0.5, size=(2000, 5))
    assert np.mean([paired_test(one).p < 0.05 for one in drawn]) == pytest.approx(0.8, abs=0.03)


def test_few_seeds_need_huge_differences_and_impossible_questions_are_refused():
    assert detectable_difference(1.0, seeds=2) > 9 * detectable_difference(1.0, seeds=5) / 2
    assert math.isnan(detectable_difference(math.nan, seeds=5))
    assert detectable_difference(0.0, seeds=5) == 0
    with pytest.raises(BadInput, match="at least two seeds"):
        power(1.0, seeds=1)
    for impossible in (0.05, 1.0):
        with pytest.raises(BadInput, match="between the level"):
            detectable_difference(1.0, seeds=5, power=impossible)


def test_the_noise_floor_is_fisher_s_least_significant_difference():
    # R: s <- summary(lm(weight ~ group, PlantGrowth))$sigma; s * qt(0.975, 27) * sqrt(2 / 10)
    assert noise_floor(PLANTS) == pytest.approx(0.5720126116, rel=1e-9)


def test_replicates_exceed_their_noise_floor_as_often_as_promised():
    rng = np.random.default_rng(1)
    seen, new = rng.normal(size=(4000, 2, 5)), rng.normal(size=(4000, 2, 5))
    beyond = [abs(b.mean(axis=1) @ [1, -1]) > noise_floor(a) for a, b in zip(seen, new, strict=True)]
    assert np.mean(beyond) == pytest.approx(0.05, abs=0.01)
    pairs, later = rng.normal(size=(4000, 5)), rng.normal(size=(4000, 5))
    beyond = [abs(b.mean()) > replicate_floor(a) for a, b in zip(pairs, later, strict=True)]
    assert np.mean(beyond) == pytest.approx(0.05, abs=0.01)


def test_the_floor_leaves_out_what_is_unknown():
    assert noise_floor([[1.0, 2.0, math.nan], [5.0]]) == pytest.approx(stats.t.ppf(0.975, 1) * math.sqrt(0.5))
    assert math.isnan(noise_floor([[1.0], [2.0]]))
    uneven = noise_floor([[0.0, 2.0], [1.0, 2.0, 3.0, 2.0]])  # variances 2 and 2/3 with 1 and 3 degrees of freedom
    assert uneven == pytest.approx(stats.t.ppf(0.975, 4) * math.sqrt(2 * 1.0 / 2))
    assert math.isnan(replicate_floor([math.nan]))
    assert replicate_floor([0.3, math.nan]) == pytest.approx(stats.t.ppf(0.975, 1) * 0.3)
