"""The difference of two arms against closed forms, and its properties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pellucid.gate.contrast import contrast


def made(runs, images, seed=0, spread=1.0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=images) + spread * rng.normal(size=(runs, images))


def test_of_two_runs_and_images_alone_it_is_the_paired_t_test():
    one, two = made(1, 400, 0), made(1, 400, 1) - 0.1
    found = contrast(one, two)
    reference = stats.ttest_rel(two[0], one[0], alternative="less")
    assert found.difference == pytest.approx(np.mean(two - one))
    assert found.error == pytest.approx(stats.sem(two[0] - one[0]), rel=0.05)  # the error is a bootstrap's
    assert found.freedom == pytest.approx(399)
    assert found.p_worse(0, higher_is_better=True) == pytest.approx(reference.pvalue, abs=0.02)
    assert found.p_worse(0, higher_is_better=False) == pytest.approx(1 - reference.pvalue, abs=0.02)


def test_where_images_do_not_matter_it_is_the_t_test_of_two_groups_of_seeds():
    rng = np.random.default_rng(2)
    means = rng.normal(size=7)
    one, two = (np.repeat(side[:, None], 50, axis=1) for side in (means[:4], means[4:] - 1))
    found = contrast(one, two, seed_noise=9.0)
    reference = stats.ttest_ind(means[4:] - 1, means[:4], alternative="less")
    assert found.freedom == pytest.approx(5)
    assert found.p_worse(0, higher_is_better=True) == pytest.approx(reference.pvalue)


@pytest.mark.parametrize(("runs", "share"), [((1, 1), 2.0), ((2, 1), 1.5), ((2, 2), 1.0)])
def test_few_seeds_take_the_stated_noise(runs, share):
    one, two = (np.full((count, 50), 0.5) for count in runs)
    found = contrast(one, two, seed_noise=0.1)
    assert found.error == pytest.approx(0.1 * share**0.5)
    assert found.interval()[1] == pytest.approx(stats.norm.ppf(0.975) * 0.1 * share**0.5)


def test_few_seeds_that_differ_more_than_stated_are_believed():
    one, two = np.array([[0.0] * 9, [1.0] * 9]), np.full((1, 9), 0.5)
    assert contrast(one, two, seed_noise=0.1).error == pytest.approx((0.5 * 1.5) ** 0.5)


def test_a_run_against_itself_is_never_worse():
    values = made(1, 30)
    for margin in (0.0, 0.1):
        found = contrast(values, values)
        assert found.difference == 0
        assert found.p_worse(margin, higher_is_better=True) == 1


def test_a_constant_loss_without_any_noise_is_certain():
    values = made(1, 30)
    found = contrast(values, values - 0.5)
    assert found.p_worse(0.4, higher_is_better=True) < 1e-6
    assert found.p_worse(0.6, higher_is_better=True) > 0.5


def test_what_one_run_lacks_is_left_out_of_all():
    one, two = made(2, 40), made(3, 40, 1)
    one[0, 3], two[2, 5] = np.nan, np.nan
    kept = [place for place in range(40) if place not in {3, 5}]
    assert contrast(one, two) == contrast(one[:, kept], two[:, kept])
    assert contrast(one, two).images == 38


def test_levels_weigh_alike_and_a_level_without_images_is_left_out():
    one, two = (np.stack([made(1, 20, seed), made(1, 20, seed + 5)], axis=2) for seed in (0, 1))
    one[0, :15, 1] = np.nan
    expected = np.mean(two[0, :, 0] - one[0, :, 0]) / 2 + np.mean(two[0, 15:, 1] - one[0, 15:, 1]) / 2
    assert contrast(one, two).difference == pytest.approx(expected)
    one[0, :19, 1] = np.nan
    assert contrast(one, two).difference == pytest.approx(np.mean(two[0, :, 0] - one[0, :, 0]))


def test_below_two_images_nothing_is_tested():
    for images in (0, 1):
        found = contrast(np.zeros((1, images)), np.ones((1, images)))
        assert np.isnan(found.p_worse(0, higher_is_better=True))
        assert found.images == images


@given(st.floats(0, 2), st.floats(0, 2))
def test_a_larger_margin_never_makes_a_failure(first, second):
    found = contrast(made(1, 30), made(1, 30, 1), seed_noise=0.1)
    small, large = sorted((first, second))
    assert found.p_worse(small, higher_is_better=True) <= found.p_worse(large, higher_is_better=True)


@given(st.floats(0.01, 0.2), st.floats(0, 1))
def test_it_fails_exactly_from_the_difference_that_it_names(level, margin):
    found = contrast(made(1, 30), made(1, 30, 1), seed_noise=0.1)
    failed = found.p_worse(margin, higher_is_better=True) < level
    assert failed == (-found.difference > found.detects(margin, level))


def test_sides_change_the_sign_only():
    one, two = made(3, 30), made(2, 30, 1)
    there, back = contrast(one, two, seed_noise=0.1), contrast(two, one, seed_noise=0.1)
    assert there.difference == pytest.approx(-back.difference)
    assert (there.error, there.freedom) == pytest.approx((back.error, back.freedom))
