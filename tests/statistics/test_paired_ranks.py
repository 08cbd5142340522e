from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from live_r import needs_r, numbers_of, vector
from scipy import stats

from pellucid.statistics.paired_ranks import rank_biserial, signed_rank, small_sample_signed_rank

# Hollander and Wolfe (1973), p. 29: Hamilton depression scale before and after; in R's ?wilcox.test, V = 40.
BEFORE = np.array([1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30])
AFTER = np.array([0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29])
LIKERT = st.lists(st.integers(-4, 4), min_size=1, max_size=9)


def test_the_depression_scale_of_hollander_and_wolfe():
    found = small_sample_signed_rank(BEFORE - AFTER)
    assert found.statistic == 40
    assert found.p == pytest.approx(2 * 0.01953125, abs=1e-12)  # ?wilcox.test prints .01953, one-sided
    assert found.exact


@given(st.lists(st.integers(-4, 4), min_size=2, max_size=60).filter(any))
def test_the_normal_approximation_is_scipys_with_ties_and_zeros(differences):
    found = signed_rank(differences)
    other = stats.wilcoxon(differences, zero_method="wilcox", correction=False, method="asymptotic")
    assert found.p == pytest.approx(other.pvalue, rel=1e-9, abs=1e-300)
    assert abs(found.z) == pytest.approx(abs(other.zstatistic), abs=1e-9)
    assert found.zeros == differences.count(0)
    assert signed_rank(np.negative(differences)).z == pytest.approx(-found.z)


@given(LIKERT.filter(any))
def test_the_exact_p_is_a_count_of_sign_patterns_even_with_ties(differences):
    moved = np.array([one for one in differences if one])
    ranks = stats.rankdata(np.abs(moved))
    middle = ranks.sum() / 2
    sums = np.array([np.dot(signs, ranks) for signs in product((0, 1), repeat=len(ranks))])
    seen = ranks[moved > 0].sum()
    expected = np.mean(np.abs(sums - middle) >= abs(seen - middle) - 1e-9)
    assert small_sample_signed_rank(differences).p == pytest.approx(expected, abs=1e-12)


def test_beyond_fifty_pairs_the_two_are_one():
    differences = np.random.default_rng(0).integers(-4, 5, 90).astype(float)
    assert (differences != 0).sum() > 50
    assert small_sample_signed_rank(differences) == signed_rank(differences)


def test_equal_pairs_are_no_evidence_and_no_pairs_are_no_answer():
    for test in (signed_rank, small_sample_signed_rank):
        equal, none = test([0.0, 0.0, np.nan]), test([np.nan])
        assert (equal.pairs, equal.zeros, equal.z, equal.p) == (2, 2, 0, 1)
        assert np.isnan(none.p)
    assert rank_biserial([0.0, 0.0])[0] == 0
    assert np.isnan(rank_biserial([np.nan])[0])


def test_the_effect_size_of_a_worked_example():
    # https://en.wikipedia.org/wiki/Wilcoxon_signed-rank_test: W+ − W− = 9 of 45
    one = np.array([125, 115, 130, 140, 140, 115, 140, 125, 140, 135])
    two = np.array([110, 122, 125, 120, 140, 124, 123, 137, 135, 145])
    assert rank_biserial(one - two)[0] == pytest.approx(9 / 45)


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=12), st.integers(0, 99))
def test_weights_are_repetitions(differences, seed):
    values = np.array(differences, dtype=float)
    weights = np.random.default_rng(seed).integers(0, 3, (4, len(values)))
    found = rank_biserial(values, weights.astype(float))
    for row, one in zip(weights, found, strict=True):
        repeated = np.repeat(values, row)
        assert one == pytest.approx(rank_biserial(repeated)[0], nan_ok=True)
        moved = repeated[repeated != 0]
        if len(moved):
            ranks = stats.rankdata(np.abs(moved))
            assert one == pytest.approx(np.dot(np.sign(moved), ranks) / ranks.sum())


@needs_r
def test_r_gives_the_same():
    ratings = np.random.default_rng(3).integers(-4, 5, 200)
    found = numbers_of(
        f"w <- suppressWarnings(wilcox.test({vector(ratings)}, exact = FALSE, correct = FALSE)); "
        "say('v', w$statistic); say('p', w$p.value); "
        f"w <- wilcox.test({vector(BEFORE)}, {vector(AFTER)}, paired = TRUE); say('exact', w$p.value)"
    )
    ours = signed_rank(ratings)
    assert ours.statistic == pytest.approx(found["v"], abs=1e-6)
    assert ours.p == pytest.approx(found["p"], rel=1e-6)
    assert small_sample_signed_rank(BEFORE - AFTER).p == pytest.approx(found["exact"], rel=1e-6)
