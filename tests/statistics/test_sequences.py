"""Confidence sequences cover at all times at once; intervals made for a fixed number do not survive peeking."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid.errors import BadInput
from pellucid.statistics.sequences import START, asymptotic, asymptotic_width, hedged_capital, log_capital

STREAMS, LENGTH = 2000, 700
SLACK = 3 * math.sqrt(0.05 * 0.95 / STREAMS)  # three standard errors of a share of 5 %
DRAWS = {
    "flat": (lambda draw, size: draw.random(size), 0.5),
    "beta": (lambda draw, size: draw.beta(20, 5, size), 0.8),
    "two-peaked": (lambda draw, size: draw.beta(0.4, 0.4, size), 0.5),
    "skewed": (lambda draw, size: draw.beta(0.2, 3.8, size), 0.05),
    "coin": (lambda draw, size: (draw.random(size) < 0.3).astype(float), 0.3),
    "rare": (lambda draw, size: (draw.random(size) < 0.02).astype(float), 0.02),
}


def streams(name, seed=0):
    sample, mean = DRAWS[name]
    return sample(np.random.default_rng(seed), (STREAMS, LENGTH)), mean


def classical(values):
    """Means and half widths of the normal 95 % interval after 1 … n values, as anybody would peek at them."""
    n = np.arange(1, values.shape[1] + 1)
    mean = values.cumsum(1) / n
    variance = np.maximum((values**2).cumsum(1) / n - mean**2, 0) * n / np.maximum(n - 1, 1)
    return mean, 1.96 * np.sqrt(variance / n)


@pytest.mark.parametrize("name", DRAWS)
@pytest.mark.parametrize("aim", [0.02, 0.1])
def test_the_interval_of_bounded_values_never_misses_in_95_of_100_streams(name, aim):
    values, mean = streams(name)
    sides = log_capital(values, mean, aim=aim), log_capital(1 - values, 1 - mean, aim=aim)
    missed = np.mean([side.max(1) >= math.log(2 / 0.05) for side in sides], axis=1)
    assert missed.sum() <= 0.05 + SLACK


@pytest.mark.parametrize("name", DRAWS)
def test_peeking_at_classical_intervals_misses_much_more_often(name):
    values, mean = streams(name)
    centre, half = classical(values)
    assert (np.abs(centre - mean) > half)[:, 29:].any(1).mean() > 0.3


@pytest.mark.parametrize("name", ["skewed", "rare"])
def test_stopping_when_it_is_tight_keeps_the_coverage_of_ours_alone(name):
    """Values are added one by one until the interval is ± 0.02: the classical one is then tight by luck."""
    values, mean = streams(name)
    centre, half = classical(values)
    tight = half[:, 29:] < 0.02
    when = np.where(tight.any(1), 29 + tight.argmax(1), LENGTH - 1)
    rows = np.arange(STREAMS)
    assert (np.abs(centre - mean) <= half)[rows, when].mean() < 0.9

    def stopped(stream):
        for n in range(100, LENGTH + 1, 100):
            found = hedged_capital(stream[:n], bounds=(0, 1), aim=0.02)
            if found.high - found.low < 0.04:
                break
        return found.low <= mean <= found.high

    count = 150
    assert np.mean([stopped(stream) for stream in values[:count]]) >= 0.95 - 3 * math.sqrt(0.05 * 0.95 / count)


@pytest.mark.parametrize(
    ("sample", "mean"),
    [
        (lambda draw, size: draw.normal(3, 2, size), 3.0),
        (lambda draw, size: draw.exponential(1, size), 1.0),
        (lambda draw, size: draw.lognormal(0, 0.7, size), math.exp(0.245)),
    ],
)
def test_the_asymptotic_sequence_holds_once_it_has_begun(sample, mean):
    values = sample(np.random.default_rng(1), (STREAMS, LENGTH))
    n = np.arange(1, LENGTH + 1)
    centre = values.cumsum(1) / n
    spread = np.sqrt(np.maximum((values**2).cumsum(1) / n - centre**2, 0))
    missed = np.abs(centre - mean) > spread * asymptotic_width(n)
    assert missed[:, START - 1 :].any(1).mean() <= 0.05 + SLACK
    assert (np.abs(centre - mean) > spread * 1.96 / np.sqrt(n))[:, START - 1 :].any(1).mean() > 0.15


def test_the_capital_against_the_true_mean_is_a_martingale():
    values, mean = streams("coin")
    capital = np.exp(log_capital(values[:, :30], mean, aim=0.1))
    assert capital[:, -1].mean() == pytest.approx(1, abs=4 * capital[:, -1].std() / math.sqrt(STREAMS))


def test_a_bet_knows_the_past_only():
    values = np.random.default_rng(0).random(50)
    other = values.copy()
    other[20] = 1 - other[20]
    before, after = (log_capital(v, 0.4, aim=0.05) for v in (values, other))
    np.testing.assert_array_equal(before[:20], after[:20])
    bets = (np.exp(np.diff(before, prepend=0)) - 1) / (values - 0.4)
    changed = (np.exp(np.diff(after, prepend=0)) - 1) / (other - 0.4)
    assert changed[20] == pytest.approx(bets[20])
    assert changed[21] != pytest.approx(bets[21], rel=1e-6)


def test_the_interval_by_hand():
    """The first bet is aim / 0.25; a candidate is refuted as soon as a capital reaches 40."""
    (first,) = log_capital(np.array([1.0]), 0.5, aim=0.1)
    assert first == pytest.approx(math.log(1 + 0.4 * 0.5))
    values = np.full(400, 0.5)
    found = hedged_capital(values, bounds=(0, 1), aim=0.05)
    spread = 0.25 / np.arange(1, 401)  # of the prior alone, as all values are equal

    def gain(mean):
        return np.log1p(np.minimum(0.05 / spread, 0.9 / mean) * (0.5 - mean)).sum()

    assert gain(found.low) == pytest.approx(math.log(40), rel=1e-6)
    assert found.low + found.high == pytest.approx(1)
    assert found.value == 0.5


def test_it_is_tight_when_promised():
    """± aim after about 2 log(40) (σ / aim)² values, if a value costs no more than a bet may."""
    values = np.random.default_rng(0).random(20000)
    promised = round(2 * math.log(40) * (1 / 12) / 0.02**2)
    found = hedged_capital(values[:promised], bounds=(0, 1), aim=0.02)
    assert 0.7 * 0.02 < (found.high - found.low) / 2 < 1.05 * 0.02


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60), st.floats(0.005, 0.5), st.floats(-5, 5), st.floats(0.1, 9))
def test_scale_place_and_reflection_of_the_values_move_the_interval_alone(values, aim, shift, scale):
    plain = hedged_capital(values, bounds=(0, 1), aim=aim)
    assert 0 <= plain.low <= plain.high <= 1
    moved = [min(max(shift + scale * value, shift), shift + scale) for value in values]
    other = hedged_capital(moved, bounds=(shift, shift + scale), aim=scale * aim)
    assert other.low == pytest.approx(shift + scale * plain.low, abs=1e-5 * scale)
    assert other.high == pytest.approx(shift + scale * plain.high, abs=1e-5 * scale)
    turned = hedged_capital([1 - value for value in values], bounds=(0, 1), aim=aim)
    assert (turned.low, turned.high) == pytest.approx((1 - plain.high, 1 - plain.low), abs=1e-6)


def test_more_values_never_widen_it_and_undefined_ones_count_for_nothing():
    values = np.random.default_rng(3).beta(2, 5, 300)
    ends = [hedged_capital(values[:n], bounds=(0, 1), aim=0.05) for n in range(0, 301, 30)]
    assert (ends[0].low, ends[0].high, ends[0].n) == (0, 1, 0)
    assert all(a.low <= b.low and b.high <= a.high for a, b in pairwise(ends))
    gaps = np.insert(values, [0, 100, 300], np.nan)
    found = hedged_capital(gaps, bounds=(0, 1), aim=0.05)
    assert (found.low, found.high, found.n, found.dropped) == (ends[-1].low, ends[-1].high, 300, 3)


def test_the_asymptotic_interval_by_hand():
    values = np.random.default_rng(0).normal(2, 3, 500)
    rho = (-2 * math.log(0.05) + math.log(-2 * math.log(0.05)) + 1) / 1000
    half = values.std() * math.sqrt(2 * (500 * rho + 1) / (500**2 * rho) * math.log(math.sqrt(500 * rho + 1) / 0.05))
    found = asymptotic([*values, math.nan])
    assert (found.low, found.high) == pytest.approx((values.mean() - half, values.mean() + half))
    assert (found.n, found.dropped) == (500, 1)
    assert asymptotic(values[: START - 1]).high == math.inf


def test_what_cannot_be_is_refused():
    with pytest.raises(BadInput, match=r"values must lie in their bounds, 0 … 1; saw 0.5 to 1.5"):
        hedged_capital([0.5, 1.5], bounds=(0, 1), aim=0.01)
    with pytest.raises(BadInput, match="half width aimed at must be positive"):
        hedged_capital([0.5], bounds=(0, 1), aim=0)
