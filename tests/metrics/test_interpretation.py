"""The scores of attacks on the explanation: top-k intersection, Kendall's τ-b, shift of the centre of mass."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import center_of_mass
from scipy.stats import kendalltau

from pellucid.errors import BadInput
from pellucid.metrics.stability import centre_shift, kendall, top_k_intersection

few = settings(max_examples=20, deadline=None)
K = 11
MEASURES = {"top-k": lambda a, b: top_k_intersection(a, b, k=K), "kendall": kendall, "centre": centre_shift}
every = pytest.mark.parametrize("measure", MEASURES.values(), ids=MEASURES)


def maps_of(seed, count=4, levels=None):
    """Two batches of related non-negative maps; with `levels` they take few values, so that there are ties."""
    generator = torch.Generator().manual_seed(seed)
    a, b = torch.rand(2, count, 1, 6, 7, generator=generator, dtype=torch.float64)
    b = (a + b) / 2
    return (a, b) if levels is None else ((a * levels).round() / levels, (b * levels).round() / levels)


def largest(values, k):
    return set(np.argsort(-values.ravel(), kind="stable")[:k].tolist())


def tau_b(a, b):
    """All pairs, from the definition."""
    one, other = (np.sign(np.subtract.outer(v.ravel(), v.ravel()))[np.triu_indices(v.numel(), 1)] for v in (a, b))
    return (one * other).sum() / np.sqrt((one != 0).sum() * (other != 0).sum())


@few
@given(seed=st.integers(0, 10_000), levels=st.sampled_from([None, 2, 5]), k=st.integers(1, 42))
def test_top_k_intersection_equals_that_of_sets(seed, levels, k):
    a, b = maps_of(seed, levels=levels)
    pairs = zip(a.numpy(), b.numpy(), strict=True)
    expected = torch.tensor([len(largest(one, k) & largest(other, k)) / k for one, other in pairs]).double()
    torch.testing.assert_close(top_k_intersection(a, b, k=k), expected, rtol=0, atol=1e-7)


@few
@given(seed=st.integers(0, 10_000), levels=st.sampled_from([None, 2, 5]))
def test_kendall_counts_pairs(seed, levels):
    a, b = maps_of(seed, levels=levels)
    expected = torch.tensor([tau_b(one, other) for one, other in zip(a, b, strict=True)])
    torch.testing.assert_close(kendall(a, b), expected, rtol=1e-12, atol=1e-14)


def test_kendall_equals_scipy_on_a_map_of_the_size_of_fashion_mnist():
    a, b = torch.rand(2, 1, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    b = (a + b).relu().round(decimals=2)
    expected = kendalltau(a.double().ravel(), b.double().ravel()).statistic
    assert kendall(a, b).item() == pytest.approx(expected, rel=1e-12)


@few
@given(seed=st.integers(0, 10_000))
def test_centre_shift_equals_scipy(seed):
    a, b = maps_of(seed)
    centres = [[center_of_mass(one[0]) for one in maps.numpy()] for maps in (a, b)]
    expected = torch.tensor([np.hypot(*np.subtract(*pair)) for pair in zip(*centres, strict=True)])
    torch.testing.assert_close(centre_shift(a, b), expected, rtol=1e-10, atol=1e-12)


def test_the_centre_of_a_point_moves_with_the_point():
    a, b = torch.zeros(2, 1, 1, 9, 12)
    a[0, 0, 1, 2], b[0, 0, 4, 6] = 3, 0.5
    assert centre_shift(a, b).item() == pytest.approx(5)
    c = torch.zeros(1, 1, 9, 12)
    c[0, 0, 1, 9] = 1
    assert centre_shift(a, c).item() == pytest.approx(7)  # along a row


def test_independent_maps_share_k_of_d_pixels():
    generator = torch.Generator().manual_seed(0)
    a, b = torch.rand(2, 500, 1, 28, 28, generator=generator)
    # Hypergeometric: a standard error of 0.0014 over 500 maps.
    assert top_k_intersection(a, b, k=100).mean().item() == pytest.approx(100 / 784, abs=0.005)


def test_of_equal_entries_the_first_are_larger():
    flat_top = torch.tensor([[1.0, 1, 1, 0]])
    first, last = torch.tensor([[2.0, 1, 0, 0]]), torch.tensor([[0.0, 1, 2, 0]])
    assert top_k_intersection(flat_top, first, k=2).item() == 1
    assert top_k_intersection(flat_top, last, k=2).item() == 0.5


@every
@few
@given(seed=st.integers(0, 10_000))
def test_limits_and_symmetry(measure, seed):
    a, b = maps_of(seed)
    alike = 0.0 if measure is centre_shift else 1.0
    torch.testing.assert_close(measure(a, a), torch.full((4,), alike, dtype=torch.float64), rtol=0, atol=1e-14)
    torch.testing.assert_close(measure(a, b), measure(b, a), rtol=0, atol=1e-14)


def test_reversed_order_is_the_opposite():
    a, _ = maps_of(3)
    assert kendall(a, 1 - a).tolist() == pytest.approx([-1] * 4)
    assert top_k_intersection(a, 1 - a, k=21).tolist() == [0] * 4


@few
@given(seed=st.integers(0, 10_000))
def test_only_the_order_matters_to_ranks(seed):
    a, b = maps_of(seed)
    for measure in (MEASURES["top-k"], kendall):
        torch.testing.assert_close(measure(a.exp(), b**3), measure(a, b), rtol=0, atol=0)


@every
@pytest.mark.parametrize("power", [-300, -20, 5, 307])
def test_scale_does_not_matter(measure, power):
    a, b = maps_of(5)
    torch.testing.assert_close(measure(a * 10.0**power, b), measure(a, b), rtol=1e-12, atol=1e-12)


@every
@few
@given(seed=st.integers(0, 10_000), size=st.sampled_from([1, 7, 16]))
def test_neither_batch_size_nor_batch_mates_matter(measure, seed, size):
    a, b = maps_of(seed, count=16, levels=50)
    order = torch.randperm(16, generator=torch.Generator().manual_seed(seed))
    for rows in order.split(size)[:3]:
        torch.testing.assert_close(measure(a[rows], b[rows]), measure(a, b)[rows], rtol=1e-13, atol=1e-13)


@every
@pytest.mark.parametrize("level", [0.0, 0.7])
def test_undefined_maps_stay_alone(measure, level):
    a, b = maps_of(1, count=5)
    a[1], b[2, 0, 3, 3], a[4] = level, torch.nan, level
    b[4] = level
    for values in (measure(a, b), measure(b, a)):
        assert values.dtype == torch.float64
        assert values.isnan().tolist() == [False, True, True, False, True]


def test_negative_mass_has_no_centre():
    a, b = maps_of(2)
    a[1, 0, 2, 2] = -0.1
    assert centre_shift(a, b).isnan().tolist() == [False, True, False, False]


@every
def test_refuses_two_shapes(measure):
    with pytest.raises(BadInput, match=r"\(2, 1, 4, 4\), \(2, 1, 4\)"):
        measure(torch.zeros(2, 1, 4, 4), torch.zeros(2, 1, 4))


@pytest.mark.parametrize("k", [0, 43])
def test_refuses_more_pixels_than_there_are(k):
    with pytest.raises(BadInput, match=rf"1 … 42, the number of pixels of a map; got {k}"):
        top_k_intersection(*maps_of(0), k=k)


def test_a_centre_needs_rows_and_columns():
    with pytest.raises(BadInput, match=r"\[B, 1, H, W\]; got \(2, 3, 4, 4\)"):
        centre_shift(torch.rand(2, 3, 4, 4), torch.rand(2, 3, 4, 4))
