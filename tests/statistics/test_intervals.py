import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from pellucid.errors import BadInput
from pellucid.statistics import bootstrap, paired_difference, student, wilson

FINITE = st.floats(-100, 100, allow_nan=False).map(lambda value: round(value, 3))


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    # Newcombe (1998), Statistics in Medicine 17, Table I, method 3
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_gives_the_published_values(successes, n, low, high):
    found = wilson(successes, n)
    assert found.value == pytest.approx(successes / n)
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.5, 0.999))
@settings(deadline=None, max_examples=50)
def test_wilson_equals_scipy_and_is_symmetric(case, confidence):
    successes, n = case
    found = wilson(successes, n, confidence=confidence)
    expected = stats.binomtest(successes, n).proportion_ci(confidence, method="wilson")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    mirrored = wilson(n - successes, n, confidence=confidence)
    assert (1 - mirrored.high, 1 - mirrored.low) == pytest.approx((found.low, found.high), abs=1e-12)
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_wilson_without_images_and_with_impossible_counts():
    assert np.isnan(wilson(0, 0).value)
    assert not wilson(0, 0).excludes(0.5)
    for successes, n in [(3, 2), (-1, 5)]:
        with pytest.raises(BadInput, match="successes"):
            wilson(successes, n)


@pytest.mark.parametrize(("statistic", "function"), [("mean", np.mean), ("median", np.median)])
@pytest.mark.parametrize("n", [40, 301])
def test_bootstrap_agrees_with_scipy(statistic, function, n):
    values = np.random.default_rng(3).gamma(2.0, size=n)
    found = bootstrap(values, statistic=statistic, resamples=20000)
    expected = stats.bootstrap(
        (values,), function, method="percentile", n_resamples=20000, rng=5, vectorized=True, batch=500
    ).confidence_interval
    assert found.value == pytest.approx(function(values))
    width = expected.high - expected.low
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.06 * width)


def test_bootstrap_of_the_mean_of_normal_values_has_the_closed_form():
    values = stats.norm.ppf((np.arange(2000) + 0.5) / 2000)
    found = bootstrap(values, resamples=20000)
    assert found.low == pytest.approx(-1.96 / np.sqrt(2000), rel=0.04)
    assert found.high == pytest.approx(1.96 / np.sqrt(2000), rel=0.04)
    narrow = bootstrap(values, resamples=20000, confidence=0.6827)
    assert narrow.high == pytest.approx(1 / np.sqrt(2000), rel=0.04)


def test_median_of_each_resample_is_exact():
    values = np.random.default_rng(0).normal(size=31)
    found = bootstrap(values, statistic="median", resamples=500, seed=7)
    generator = np.random.default_rng(7)  # the documented draw: n indices a resample, one after the other
    medians = [np.median(values[generator.integers(31, size=31)]) for _ in range(500)]
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(medians, [0.025, 0.975])), abs=1e-12)


def test_means_over_levels_weigh_each_level_alike():
    values = np.array([[1.0, 10.0], [2.0, np.nan], [3.0, np.nan], [4.0, 30.0]])
    found = bootstrap(values)
    assert found.value == pytest.approx((2.5 + 20.0) / 2)
    assert (found.n, found.dropped) == (4, 0)
    gone = bootstrap(np.array([[np.nan, np.nan], [1.0, 2.0], [3.0, 4.0]]))
    assert (gone.value, gone.n, gone.dropped) == (2.5, 2, 1)


@pytest.mark.parametrize("statistic", ["mean", "median", "log10_mean", "log10_median"])
def test_missing_values_are_dropped_and_counted(statistic):
    values = np.random.default_rng(1).exponential(size=200)
    holes = np.where(np.arange(200) % 4 == 0, np.nan, values)
    found = bootstrap(holes, statistic=statistic)
    whole = bootstrap(holes[~np.isnan(holes)], statistic=statistic)
    assert found.value == pytest.approx(whole.value)
    assert (found.n, found.dropped, whole.dropped) == (150, 50, 0)
    width = whole.high - whole.low
    assert (found.low, found.high) == pytest.approx((whole.low, whole.high), abs=0.15 * width)


def test_log10_of_the_mean_is_the_log10_of_the_interval():
    values = np.random.default_rng(2).lognormal(3, 2, size=500)
    plain, log = bootstrap(values), bootstrap(values, statistic="log10_mean")
    assert log.value == pytest.approx(np.log10(plain.value))
    assert (log.low, log.high) == pytest.approx((np.log10(plain.low), np.log10(plain.high)), abs=1e-3)
    assert np.isnan(bootstrap(np.zeros(5), statistic="log10_mean").value)


def test_undefined_where_there_is_nothing_to_average():
    empty, single = bootstrap([np.nan, np.nan]), bootstrap([3.0])
    assert np.isnan(empty.value)
    assert (empty.n, empty.dropped) == (0, 2)
    assert single.value == 3.0
    assert np.isnan(single.low)
    assert not single.excludes(0)
    assert np.isnan(bootstrap([]).value)


def test_unknown_statistic_names_the_nearest():
    with pytest.raises(BadInput, match="did you mean 'median'"):
        bootstrap([1.0, 2.0], statistic="medain")
    with pytest.raises(BadInput, match="mean of levels"):
        bootstrap(np.ones((3, 2)), statistic="median")
    with pytest.raises(BadInput, match="one shape"):
        paired_difference([1.0], [1.0, 2.0])


@given(hnp.arrays(float, st.integers(2, 40), elements=FINITE), st.floats(0.1, 10), st.floats(-50, 50))
@settings(deadline=None, max_examples=30)
def test_intervals_move_and_stretch_with_the_data(values, stretch, shift):
    for statistic in ("mean", "median"):
        plain = bootstrap(values, statistic=statistic, resamples=200)
        moved = bootstrap(stretch * values + shift, statistic=statistic, resamples=200)
        for one, other in [(plain.value, moved.value), (plain.low, moved.low), (plain.high, moved.high)]:
            assert other == pytest.approx(stretch * one + shift, abs=1e-8)
        assert plain.low <= plain.high


@given(hnp.arrays(float, st.tuples(st.integers(2, 30), st.just(2)), elements=FINITE))
@settings(deadline=None, max_examples=30)
def test_difference_changes_sign_when_the_two_are_exchanged(pairs):
    for statistic in ("mean", "median"):
        one = paired_difference(pairs[:, 0], pairs[:, 1], statistic=statistic, resamples=200)
        two = paired_difference(pairs[:, 1], pairs[:, 0], statistic=statistic, resamples=200)
        assert (one.value, one.low, one.high) == pytest.approx((-two.value, -two.high, -two.low), abs=1e-9)


def test_paired_difference_uses_the_pairing():
    rng = np.random.default_rng(0)
    image = 10 * rng.normal(size=400)  # images differ far more than models do
    first, second = image + 0.3 + 0.1 * rng.normal(size=400), image
    paired = paired_difference(first, second)
    assert paired.value == pytest.approx((first - second).mean())
    assert paired.low > 0.28
    assert paired.high < 0.32
    shuffled = paired_difference(first, rng.permutation(second))
    assert not shuffled.excludes(0)


def test_paired_difference_drops_an_image_that_either_lacks():
    first = np.array([1.0, np.nan, 3.0, 5.0])
    second = np.array([0.0, 2.0, np.nan, 1.0])
    found = paired_difference(first, second)
    assert found.value == pytest.approx(2.5)
    assert (found.n, found.dropped) == (2, 2)


def test_same_seed_same_interval_and_no_global_state():
    values = np.random.default_rng(0).normal(size=50)
    np.random.seed(1)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    assert bootstrap(values, seed=4) == bootstrap(values, seed=4)
    assert bootstrap(values, seed=4) != bootstrap(values, seed=5)
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_intervals_cover_the_truth_in_95_of_100_repeats():
    rng = np.random.default_rng(0)
    repeats, n = 600, 80
    skewed = rng.gamma(2.0, size=(repeats, n))
    mean = [found.low <= 2.0 <= found.high for found in (bootstrap(row, resamples=400) for row in skewed)]
    centre = stats.gamma.ppf(0.5, 2.0)
    middle = (bootstrap(row, statistic="median", resamples=400) for row in skewed[:300])
    median = [found.low <= centre <= found.high for found in middle]
    share = [found.low <= 0.07 <= found.high for found in (wilson(int(k), n) for k in rng.binomial(n, 0.07, repeats))]
    few = [found.low <= 2.0 <= found.high for found in map(student, rng.normal(2.0, size=(repeats, 5)))]
    for covered in (mean, median, share, few):
        assert 0.915 < np.mean(covered) < 0.985


def test_student_equals_scipy():
    values = np.array([0.2, 0.5, 0.1, np.nan, 0.4])
    found = student(values)
    expected = stats.ttest_1samp(values[~np.isnan(values)], 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert (found.n, found.dropped) == (4, 1)
    assert np.isnan(student([1.0]).low)
    assert np.isnan(student([]).value)
