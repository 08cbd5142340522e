import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_1samp

from pellucid.statistics.ring import ring_pseudovalues


@given(st.lists(st.floats(-1, 1), min_size=3, max_size=9))
def test_the_mean_stays(values):
    assert ring_pseudovalues(values).mean() == pytest.approx(np.mean(values), abs=1e-9)


def test_by_hand():
    # Without seed 0, whose model is in the first and the last value: (2 + 3) / 2; so 4·2.5 - 3·2.5 for it.
    assert ring_pseudovalues([1, 2, 3, 4]).tolist() == [2.5, -0.5, 2.5, 5.5]


@pytest.mark.parametrize("seeds", [1, 2])
def test_a_ring_needs_three_seeds(seeds):
    assert np.isnan(ring_pseudovalues([0.1] * seeds)).all()


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_without_a_difference_the_test_finds_one_in_a_twentieth_of_the_cases(seeds):
    rng = np.random.default_rng(0)
    models = rng.normal(size=(4000, seeds))
    values = models + np.roll(models, -1, axis=1) + 0.3 * rng.normal(size=models.shape)
    found = ttest_1samp(np.array([ring_pseudovalues(row) for row in values]), 0, axis=1).pvalue
    assert 0.03 < (found < 0.05).mean() < 0.07
    assert (ttest_1samp(values, 0, axis=1).pvalue < 0.05).mean() > 0.14
