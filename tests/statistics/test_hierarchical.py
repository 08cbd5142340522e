"""The hierarchical bootstrap against its closed form, a naive one in R, simulated coverage, and its limits."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from live_r import r
from scipy import stats

from pellucid.errors import BadInput
from pellucid.statistics import hierarchical, hierarchical_difference, student

SEEDS, IMAGES = 4, 30
SEED, IMAGE = np.mgrid[1 : SEEDS + 1, 1 : IMAGES + 1]
TABLE = np.sin(1.3 * SEED) / 3 + np.cos(0.7 * IMAGE) + np.sin(SEED * IMAGE) / 2


def variances(table):
    """Owen (2007): exact variance over resampled images, and over seeds, of the mean of a full table."""
    seeds, images = table.shape
    columns = table.mean(axis=0)
    noise = (table - columns).var(axis=1).sum() / images / (seeds - 1)
    return columns.var() / images, (table.mean(axis=1).var(ddof=1) + noise) / seeds


@pytest.mark.parametrize("table", [TABLE, TABLE[:, :5], 0.05 * np.sin(SEED[:, :4]) + np.cos(2.1 * IMAGE[:, :4])])
def test_the_interval_follows_from_the_exact_variances(table):
    over_images, over_seeds = variances(table)
    found = hierarchical(table, resamples=40_000)
    freedom = (over_images + over_seeds) ** 2 / (over_images**2 / (table.shape[1] - 1) + over_seeds**2 / (SEEDS - 1))
    half = stats.t.ppf(0.975, freedom) * math.sqrt(over_images + over_seeds)
    assert found.value == pytest.approx(table.mean())
    assert (found.n, found.dropped) == (SEEDS, 0)
    assert found.high - found.value == pytest.approx(half, rel=0.02)
    assert found.value - found.low == pytest.approx(half, rel=0.02)


def test_a_naive_bootstrap_in_r_has_the_same_spread():
    # Draws seeds and images one by one; it has (S - 1)/S of the variance over seeds.
    over_images, over_seeds = variances(TABLE)
    naive = math.sqrt(over_images + over_seeds * (SEEDS - 1) / SEEDS)
    # R, the same code with 200000 resamples: 0.1881809
    assert naive == pytest.approx(0.1881809, abs=5e-4)
    code = (
        "{set.seed(1); x <- outer(1:4, 1:30, function(s, i) sin(1.3 * s) / 3 + cos(0.7 * i) + sin(s * i) / 2); "
        "sd(replicate(20000, mean(x[sample(4, replace = TRUE), sample(30, replace = TRUE)])))}"
    )
    assert r(code)[0] == pytest.approx(naive, rel=0.02)


@given(st.lists(st.floats(-5, 5).map(lambda one: round(one, 3)), min_size=2, max_size=6, unique=True))
@settings(deadline=None)
def test_images_that_are_all_alike_leave_student_s_interval_over_seeds(means):
    found, expected = hierarchical(np.repeat(np.array(means)[:, None], 8, axis=1)), student(means)
    assert (found.value, found.low, found.high) == pytest.approx((expected.value, expected.low, expected.high))


def test_new_models_and_new_images_fall_inside_as_often_as_promised():
    rng, hits, narrow = np.random.default_rng(2), 0, 0
    for _ in range(600):
        table = rng.normal(size=(5, 1)) * 0.2 + rng.normal(size=(1, 40)) + rng.normal(size=(5, 40))
        found, percentile = hierarchical(table, resamples=300), np.quantile(table.mean(axis=1), [0, 1])
        hits += found.low <= 0 <= found.high
        narrow += percentile[0] <= 0 <= percentile[1]
    assert 0.93 <= hits / 600 <= 0.985
    assert narrow / 600 < 0.9  # the range of the seeds, which no percentile interval over seeds leaves


def test_seeds_weigh_alike_and_each_drops_its_own_undefined_images():
    table = np.array([[1.0, math.nan, math.nan], [2.0, 3.0, 4.0]])
    assert hierarchical(table).value == pytest.approx((1 + 3) / 2)
    lost = np.array([[1.0, 2.0], [math.nan, math.nan], [3.0, 6.0]])
    assert (hierarchical(lost).value, hierarchical(lost).n, hierarchical(lost).dropped) == (3.0, 2, 1)


def test_one_seed_has_a_mean_and_no_interval():
    found = hierarchical([[1.0, 2.0]])
    assert found.value == 1.5
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert math.isnan(hierarchical([[math.nan]]).value)


@pytest.mark.parametrize("statistic", ["mean", "median", "log10_mean", "log10_median"])
def test_a_difference_is_paired_in_seeds_and_images(statistic):
    rng = np.random.default_rng(3)
    first = 10 + rng.normal(size=(5, 1)) + rng.normal(size=(1, 60))
    paired = hierarchical_difference(first + 1, first, statistic=statistic)
    apart = hierarchical_difference(first + 1, rng.permuted(first, axis=1)[::-1], statistic=statistic)
    expected = {"mean": np.mean, "median": np.median}[statistic.removeprefix("log10_")]
    scale = np.log10 if statistic.startswith("log10") else np.asarray
    gaps = scale(expected(first + 1, axis=1)) - scale(expected(first, axis=1))
    assert paired.value == pytest.approx(gaps.mean())
    assert paired.low <= paired.value <= paired.high
    assert paired.high - paired.low < 0.3 * (apart.high - apart.low)


def test_a_difference_drops_an_image_that_one_of_both_lacks_and_turns_with_its_sign():
    first, second = TABLE.copy(), TABLE[::-1] * 1.2
    first[0, 3] = second[2, 5] = math.nan
    found, turned = hierarchical_difference(first, second), hierarchical_difference(second, first)
    gaps = [np.nanmean(one - two) for one, two in zip(first, second, strict=True)]
    assert found.value == pytest.approx(np.mean(gaps))
    assert (turned.value, turned.low, turned.high) == pytest.approx((-found.value, -found.high, -found.low))


def test_levels_are_averaged_before_seeds():
    levels = np.stack([TABLE, TABLE + 1], axis=2)
    found, plain = hierarchical(levels), hierarchical(TABLE)
    assert (found.value, found.low, found.high) == pytest.approx((plain.value + 0.5, plain.low + 0.5, plain.high + 0.5))


def test_wrong_shapes_are_refused():
    for wrong in (np.ones(3), np.ones((0, 3)), np.ones((2, 0)), np.ones((1, 1, 1, 1))):
        with pytest.raises(BadInput, match=r"\[seeds, images\]"):
            hierarchical(wrong)
    with pytest.raises(BadInput, match="one shape"):
        hierarchical_difference(np.ones((2, 3)), np.ones((3, 2)))
    with pytest.raises(BadInput, match="statistic"):
        hierarchical(TABLE, statistic="mode")
