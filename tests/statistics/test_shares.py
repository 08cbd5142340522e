import numpy as np
import pytest
from live_r import needs_r, numbers_of, vector
from scipy import stats
from statsmodels.stats.proportion import multinomial_proportions_confint

from pellucid.statistics import bootstrap
from pellucid.statistics.clusters import cluster_bootstrap, weighted_mean
from pellucid.statistics.shares import chance_p, cluster_shares, goodman, goodness_of_fit

COUNTS = np.array([[1, 3, 6], [2, 2, 6], [0, 5, 5], [3, 3, 4], [1, 1, 8], [4, 2, 4]])


def test_goodmans_intervals_are_those_of_statsmodels():
    found = goodman([56, 72, 73, 59, 62, 87, 58])
    other = multinomial_proportions_confint([56, 72, 73, 59, 62, 87, 58], method="goodman")
    np.testing.assert_allclose([(one.low, one.high) for one in found], other, atol=1e-9)


def test_fair_dice():
    # NIST/SEMATECH has the same by hand: Σ (O − 10)² / 10
    chi2, p = goodness_of_fit([16, 18, 16, 14, 12, 12])
    assert chi2 == pytest.approx(2)  # scipy.stats.chisquare's own example
    assert p == pytest.approx(0.849145, abs=1e-6)
    for nothing in ([], [5], [0, 0]):
        assert np.isnan(goodness_of_fit(nothing)).all()


def test_shares_are_of_all_choices_and_their_intervals_of_participants():
    found = cluster_shares(COUNTS)
    assert [one.value for one in found] == pytest.approx(COUNTS.sum(0) / 60)
    assert sum(one.value for one in found) == pytest.approx(1)
    assert all(one.low < one.value < one.high and one.n == 6 for one in found)


def test_a_participant_who_always_chooses_alike_counts_once():
    """Ten equal choices of each of 40 people: as wide as 40 choices, not as narrow as 400."""
    votes = np.repeat([[1, 0], [0, 1]], 20, axis=0)
    one, ten = cluster_shares(votes)[0], cluster_shares(10 * votes)[0]
    assert (ten.low, ten.high) == pytest.approx((one.low, one.high))
    assert ten.high - ten.low > 2.5 * (goodman(10 * votes.sum(0))[0].high - 0.5)


def test_chance_is_tested_over_participants():
    found = chance_p(COUNTS)
    assert found[2] == pytest.approx(stats.ttest_1samp(COUNTS[:, 2] / 10, 1 / 3).pvalue)
    assert chance_p(np.vstack([COUNTS, [0, 0, 0]])) == pytest.approx(found)
    assert np.isnan(chance_p([[0, 5, 5]])).all()
    assert np.isnan(chance_p([[0, 5, 5], [0, 2, 2]])).all()


def test_one_answer_a_participant_is_the_plain_bootstrap():
    values = np.array([1.0, 4, 2, 5, np.nan, 3])
    ours = cluster_bootstrap(lambda weights: weighted_mean(values, weights), 6, seed=4)
    plain = bootstrap(values, seed=4)
    assert (ours.value, ours.low, ours.high) == pytest.approx((plain.value, plain.low, plain.high))


def test_no_interval_without_a_second_participant():
    one = cluster_bootstrap(lambda weights: weighted_mean([2.0], weights), 1)
    assert one.value == 2
    assert np.isnan([one.low, one.high]).all()
    assert np.isnan(cluster_bootstrap(lambda weights: weighted_mean([], weights), 0).value)
    assert np.isnan(cluster_bootstrap(lambda weights: weighted_mean([np.nan] * 2, weights), 2).low)


@needs_r
def test_r_gives_the_same():
    found = numbers_of(
        f"s <- {vector(COUNTS[:, 2] / 10)}; say('t', t.test(s, mu = 1 / 3)$p.value); "
        f"say('chi', chisq.test({vector(COUNTS.sum(0))})$p.value)"
    )
    assert chance_p(COUNTS)[2] == pytest.approx(found["t"], rel=1e-6)
    assert goodness_of_fit(COUNTS.sum(0))[1] == pytest.approx(found["chi"], rel=1e-6)
