import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from live_r import needs_r, numbers_of, vector
from scipy import stats

from pellucid.errors import BadInput
from pellucid.statistics.groups import cliffs_delta, friedman, histogram, one_way_anova

# R's data set PlantGrowth (Dobson 1983, table 7.1); its ?anova example prints F = 4.846 and p = .01591.
PLANTS = [
    [4.17, 5.58, 5.18, 6.11, 4.50, 4.61, 5.17, 4.53, 5.33, 5.14],
    [4.81, 4.17, 4.41, 3.59, 5.87, 3.83, 6.03, 4.89, 4.32, 4.69],
    [6.31, 5.12, 5.54, 5.50, 5.37, 5.29, 4.92, 6.15, 5.80, 5.26],
]
# Hollander and Wolfe (1973), p. 140: times to round first base; R's ?friedman.test prints χ² = 11.143, p = .003805.
ROUNDING = np.array(
    [
        *([5.40, 5.50, 5.55], [5.85, 5.70, 5.75], [5.20, 5.60, 5.50], [5.55, 5.50, 5.40], [5.90, 5.85, 5.70]),
        *([5.45, 5.55, 5.60], [5.40, 5.40, 5.35], [5.45, 5.50, 5.35], [5.25, 5.15, 5.00], [5.85, 5.80, 5.70]),
        *([5.25, 5.20, 5.10], [5.65, 5.55, 5.45], [5.60, 5.35, 5.45], [5.05, 5.00, 4.95], [5.50, 5.50, 5.40]),
        *([5.45, 5.55, 5.50], [5.55, 5.55, 5.35], [5.45, 5.50, 5.55], [5.50, 5.45, 5.25], [5.65, 5.60, 5.40]),
        *([5.70, 5.65, 5.55], [6.30, 6.30, 6.25]),
    ]
)
TABLES = st.integers(2, 5).flatmap(
    lambda k: st.lists(st.lists(st.integers(1, 5), min_size=k, max_size=k), min_size=2, max_size=12)
)


def test_plant_growth():
    found = one_way_anova(PLANTS)
    assert (found.df1, found.df2) == (2, 27)
    assert found.f == pytest.approx(4.846, abs=5e-4)
    assert found.p == pytest.approx(0.01591, abs=5e-6)
    with_missing = [[*group, np.nan] for group in PLANTS]
    assert one_way_anova(with_missing) == found


def test_anova_of_what_does_not_vary_or_is_not_there_is_undefined():
    for groups in ([[2, 2], [2, 2]], [[2, 2], [3, 3]], [[1, 2]], [[1], [2]], [[1, 2], [np.nan]], []):
        assert np.isnan(one_way_anova(groups).f)
        assert np.isnan(one_way_anova(groups).p)


def test_rounding_first_base():
    found = friedman(ROUNDING)
    assert found.chi2 == pytest.approx(11.143, abs=5e-4)
    assert found.p == pytest.approx(0.003805, abs=5e-7)
    assert (found.df, found.blocks) == (2, 22)
    assert found.w == pytest.approx(11.142857142857 / 44)


@given(TABLES.filter(lambda table: len(table[0]) > 2))
def test_friedman_is_scipys(table):
    values = np.array(table, dtype=float)
    found = friedman(values)
    if (np.ptp(values, axis=1) == 0).all():
        assert np.isnan(found.chi2)
        assert np.isnan(found.w)
        return
    other = stats.friedmanchisquare(*values.T)
    assert found.chi2 == pytest.approx(other.statistic, abs=1e-9)
    assert found.p == pytest.approx(other.pvalue, abs=1e-9)
    assert 0 <= found.w <= 1 + 1e-12


def test_friedman_at_its_ends():
    assert friedman([[1, 2, 3]] * 5).w == pytest.approx(1)
    assert friedman([[1, 2, 3], [3, 2, 1]]).chi2 == pytest.approx(0)
    assert friedman([[1, 2, 3], [1, np.nan, 3]]).blocks == 1
    two = friedman([[1, 2]] * 6 + [[2, 1]] * 2 + [[3, 3]])  # the sign test by χ²: (6 − 2)² / 8
    assert two.chi2 == pytest.approx(2)
    for empty in (np.empty((0, 3)), np.ones((4, 1)), [[1, 2, 3]]):
        assert np.isnan(friedman(empty).p)
    with pytest.raises(BadInput, match="blocks, treatments"):
        friedman([1, 2, 3])


def test_cliffs_delta_of_a_published_u():
    # Hollander and Wolfe (1973), p. 69: permeability; R's ?wilcox.test gives W = 35 of 50 pairs.
    x = [0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46]
    y = [1.15, 0.88, 0.90, 0.74, 1.21]
    levels = np.unique(x + y)
    counts = [histogram(np.array([values]), levels) for values in (x, y)]
    assert cliffs_delta(*counts)[0] == pytest.approx(2 * 35 / 50 - 1)


@given(st.integers(0, 500))
def test_cliffs_delta_counts_pairs_and_weights_are_repetitions(seed):
    generator = np.random.default_rng(seed)
    one, two = generator.integers(1, 6, (2, 5, 3)).astype(float)
    one[generator.random(one.shape) < 0.2] = np.nan
    weights = generator.integers(0, 3, (3, 5))
    counts = [histogram(values, np.arange(1.0, 6)) for values in (one, two)]
    for row, found in zip(weights, cliffs_delta(*counts, weights.astype(float)), strict=True):
        a, b = (np.repeat(values, row, axis=0).ravel() for values in (one, two))
        a = a[~np.isnan(a)]
        expected = np.sign(a[:, None] - b[None, :]).mean() if a.size and b.size else np.nan
        assert found == pytest.approx(expected, nan_ok=True)


@needs_r
def test_r_gives_the_same():
    found = numbers_of(
        "a <- anova(lm(weight ~ group, PlantGrowth)); say('f', a[1, 4]); say('fp', a[1, 5]); "
        f"t <- friedman.test(matrix({vector(ROUNDING.T.ravel())}, ncol = 3)); say('q', t$statistic); "
        "say('qp', t$p.value)"
    )
    anova, ranks = one_way_anova(PLANTS), friedman(ROUNDING)
    assert [anova.f, anova.p] == pytest.approx([found["f"], found["fp"]], rel=1e-6)
    assert [ranks.chi2, ranks.p] == pytest.approx([found["q"], found["qp"]], rel=1e-6)
