import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cosine as cosine_distance
from scipy.stats import spearmanr

from pellucid.errors import BadInput
from pellucid.metrics.stability import cosine, spearman, ssim_clean, ssim_legacy

few = settings(max_examples=20, deadline=None)
both = pytest.mark.parametrize("measure", [spearman, cosine])


def maps_of(seed, count=4, levels=None):
    """Two batches of related maps; with `levels` only so many different values, so that there are ties."""
    generator = torch.Generator().manual_seed(seed)
    a, b = torch.randn(2, count, 1, 6, 7, generator=generator, dtype=torch.float64)
    b = a + b
    return (a, b) if levels is None else ((a * levels).round() / levels, (b * levels).round() / levels)


@few
@given(seed=st.integers(0, 10_000), levels=st.sampled_from([None, 1, 3]))
def test_spearman_equals_scipy(seed, levels):
    a, b = maps_of(seed, levels=levels)
    expected = [spearmanr(one.ravel(), other.ravel()).statistic for one, other in zip(a, b, strict=True)]
    torch.testing.assert_close(spearman(a, b), torch.tensor(expected), rtol=1e-12, atol=1e-14)


@few
@given(seed=st.integers(0, 10_000))
def test_cosine_equals_scipy(seed):
    a, b = maps_of(seed)
    expected = [1 - cosine_distance(one.ravel(), other.ravel()) for one, other in zip(a, b, strict=True)]
    torch.testing.assert_close(cosine(a, b), torch.tensor(expected), rtol=1e-12, atol=1e-14)


@few
@given(seed=st.integers(0, 10_000))
def test_only_the_order_matters_to_spearman(seed):
    a, b = maps_of(seed)
    assert torch.equal(spearman(a.exp(), b**3), spearman(a, b))


@both
@few
@given(seed=st.integers(0, 10_000))
def test_limits_and_symmetries(measure, seed):
    a, b = maps_of(seed)
    one = torch.ones(4, dtype=torch.float64)
    torch.testing.assert_close(measure(a, a), one, rtol=0, atol=1e-14)
    torch.testing.assert_close(measure(a, -a), -one, rtol=0, atol=1e-14)
    assert (measure(a, a).abs() <= 1).all()
    assert torch.equal(measure(b, a), measure(a, b))
    order = torch.randperm(42, generator=torch.Generator().manual_seed(seed))
    shuffled = (maps.flatten(1)[:, order] for maps in (a, b))
    torch.testing.assert_close(measure(*shuffled), measure(a, b), rtol=1e-12, atol=1e-14)


@both
@few
@given(seed=st.integers(0, 10_000), power=st.floats(-6, 6))
def test_scale_does_not_matter(measure, seed, power):
    a, b = maps_of(seed)
    torch.testing.assert_close(measure(a * 10**power, b), measure(a, b), rtol=0, atol=1e-13)
    a, b = a.float(), b.float()
    torch.testing.assert_close(measure(a, b * 10**power), measure(a, b), rtol=0, atol=1e-5)


@both
def test_survives_the_ends_of_the_range(measure):
    a, b = maps_of(0)
    torch.testing.assert_close(measure(a * 1e-250, b * 1e250), measure(a, b), rtol=1e-12, atol=0)


@both
@few
@given(seed=st.integers(0, 10_000), size=st.sampled_from([1, 7, 64]))
def test_neither_batch_size_nor_batch_mates_matter(measure, seed, size):
    a, b = (maps * torch.logspace(-6, 6, 64)[:, None, None, None] for maps in maps_of(seed, count=64))
    order = torch.randperm(64, generator=torch.Generator().manual_seed(seed))
    for rows in order.split(size)[:3]:
        torch.testing.assert_close(measure(a[rows], b[rows]), measure(a, b)[rows], rtol=1e-13, atol=1e-15)


@both
def test_undefined_maps_stay_alone(measure):
    a, b = maps_of(1)
    a[1], b[2, 0, 3, 3] = 0, torch.nan
    assert measure(a, b).isnan().tolist() == [False, True, True, False]
    assert measure(b, a).isnan().tolist() == [False, True, True, False]


def test_a_constant_map_has_no_ranks_but_a_direction():
    a, _ = maps_of(2)
    assert spearman(a, torch.ones_like(a)).isnan().all()
    assert not cosine(a, torch.ones_like(a)).isnan().any()


@both
def test_refuses_two_shapes(measure):
    with pytest.raises(BadInput, match=r"\(2, 1, 4, 4\), \(2, 1, 4\)"):
        measure(torch.zeros(2, 1, 4, 4), torch.zeros(2, 1, 4))
    with pytest.raises(BadInput):
        measure(torch.zeros(2), torch.zeros(2))


@pytest.mark.parametrize("compare", [spearman, cosine, ssim_clean, ssim_legacy])
def test_several_maps_against_each_are_compared_like_pairs(compare):
    generator = torch.Generator().manual_seed(0)
    a = torch.rand(3, 1, 9, 8, generator=generator).round(decimals=1)
    others = torch.rand(3, 4, 1, 9, 8, generator=generator).round(decimals=1)
    others[1, 2] = 0
    found = compare(a, others)
    assert found.shape == (3, 4)
    for place in range(4):
        torch.testing.assert_close(found[:, place], compare(a, others[:, place]), rtol=0, atol=1e-14, equal_nan=True)
    with pytest.raises(BadInput, match=r"or \[B, …\] with S maps for each"):
        compare(a, others[:2])
