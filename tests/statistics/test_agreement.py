import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid.statistics.agreement import krippendorff_alpha

# Krippendorff (2011), "Computing Krippendorff's alpha-reliability", section C: four observers, twelve units;
# ordinal alpha = .815.
X = np.nan
OBSERVERS = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, X, X, X],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, X, 3],
    [X, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, X],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, X],
]


def test_krippendorffs_own_example():
    found = krippendorff_alpha(OBSERVERS)
    assert found.value == pytest.approx(0.815, abs=5e-4)
    assert found.n == 11  # the twelfth unit has one rating only
    assert found.low < found.value < found.high <= 1


def by_pairs(ratings):
    """Krippendorff's definition without a coincidence matrix: mean distances of pairs within units, and of all."""
    units = [column[~np.isnan(column)] for column in np.array(ratings, dtype=float).T]
    units = [unit for unit in units if len(unit) > 1]
    everything = np.concatenate(units)

    def distance(c, k):
        low, high = min(c, k), max(c, k)
        between = ((everything >= low) & (everything <= high)).sum()
        return (between - ((everything == c).sum() + (everything == k).sum()) / 2) ** 2

    n = len(everything)
    observed = sum(sum(distance(c, k) for c in unit for k in unit) / (len(unit) - 1) for unit in units) / n
    expected = sum(distance(c, k) for c in everything for k in everything) / (n * (n - 1))
    return 1 - observed / expected


@given(st.integers(0, 300))
def test_it_is_one_minus_observed_over_expected_disagreement(seed):
    generator = np.random.default_rng(seed)
    ratings = generator.integers(1, 6, (4, 6)).astype(float)
    ratings[generator.random(ratings.shape) < 0.2] = np.nan
    found = krippendorff_alpha(ratings, resamples=2).value
    assert found == pytest.approx(by_pairs(ratings), abs=1e-9)
    assert krippendorff_alpha(10 * ratings**3, resamples=2).value == pytest.approx(found)  # only the order counts


def test_at_its_ends():
    assert krippendorff_alpha([[1, 2, 3], [1, 2, 3]]).value == pytest.approx(1)
    assert krippendorff_alpha([[1, 5], [5, 1]]).value < 0
    for nothing in ([[3, 3], [3, 3]], [[1, 2, 3]], np.empty((0, 3))):
        assert np.isnan(krippendorff_alpha(nothing).value)
