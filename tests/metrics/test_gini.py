import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pellucid.errors import BadInput
from pellucid.metrics.sparsity import gini, gini_legacy

seeds = given(seed=st.integers(0, 10_000))
few = settings(max_examples=30, deadline=None)


def maps_of(seed, count=5, channels=1, side=6, dtype=torch.float32):
    return torch.randn(count, channels, side, side, generator=torch.Generator().manual_seed(seed)).to(dtype)


def by_definition(entries):
    """Half the mean absolute difference over the mean: the textbook's Gini index, which knows no sorting."""
    sizes = np.abs(np.asarray(entries, dtype=np.float64)).ravel()
    return np.abs(sizes[:, None] - sizes[None]).mean() / (2 * sizes.mean())


def test_golden_values():
    assert gini(torch.tensor([[0.0, 1, 2, 3, 10]])).item() == pytest.approx(0.55, abs=1e-15)
    assert gini(torch.eye(1000)[:1]).item() == pytest.approx(0.999, abs=1e-12)
    assert gini(torch.zeros(1, 9)).item() == 0
    assert gini(torch.full((1, 3, 7), -0.3)).item() == 0


def test_limits_of_large_maps():
    quantiles = (torch.arange(200_000, dtype=torch.float64) + 0.5) / 200_000
    half_normal = math.sqrt(2) * torch.erfinv(quantiles)
    exponential = -torch.log1p(-quantiles)
    found = gini(torch.stack([half_normal, exponential]))
    torch.testing.assert_close(found, torch.tensor([math.sqrt(2) - 1, 0.5]).double(), rtol=0, atol=1e-5)


def test_the_two_reductions_of_three_channels_differ():
    noise = torch.randn(1, 3, 200, 200, generator=torch.Generator().manual_seed(0))
    assert gini(noise).item() == pytest.approx(0.414, abs=0.003)
    assert gini(noise.abs().sum(1, keepdim=True)).item() == pytest.approx(0.245, abs=0.003)


@few
@seeds
def test_equals_the_textbook(seed):
    maps = maps_of(seed, channels=2)
    expected = torch.tensor([by_definition(entries) for entries in maps])
    torch.testing.assert_close(gini(maps), expected, rtol=1e-12, atol=1e-14)


@few
@seeds
def test_is_equation_33(seed):
    v = np.sort(np.abs(maps_of(seed, count=1).double().numpy().ravel()))
    d = len(v)
    expected = 1 - 2 * sum(v[k - 1] / v.sum() * (d - k + 0.5) / d for k in range(1, d + 1))
    assert gini(maps_of(seed, count=1)).item() == pytest.approx(expected, rel=1e-12)


@few
@given(seed=st.integers(0, 10_000), exponent=st.integers(-100, 100))
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_a_power_of_two_changes_nothing(dtype, seed, exponent):
    maps = maps_of(seed, dtype=dtype)
    torch.testing.assert_close(gini(maps * 2.0**exponent), gini(maps), rtol=0, atol=1e-12)


@few
@given(seed=st.integers(0, 10_000), power=st.floats(-6, 6))
def test_scale_does_not_matter(seed, power):
    maps = maps_of(seed)
    torch.testing.assert_close(gini(maps * 10**power), gini(maps), rtol=0, atol=1e-5)
    torch.testing.assert_close(gini(maps.double() * 10**power), gini(maps), rtol=0, atol=1e-13)


def test_survives_the_ends_of_the_range():
    maps = maps_of(3).double()
    for scale in (1e-290, 1e307):
        torch.testing.assert_close(gini(maps * scale), gini(maps), rtol=0, atol=1e-12)


@few
@seeds
def test_order_and_signs_do_not_matter(seed):
    maps, generator = maps_of(seed), torch.Generator().manual_seed(seed)
    shuffled = maps.flatten(1)[:, torch.randperm(36, generator=generator)]
    signs = torch.randint(0, 2, shuffled.shape, generator=generator) * 2 - 1
    torch.testing.assert_close(gini(shuffled * signs), gini(maps), rtol=0, atol=1e-14)


@few
@given(seed=st.integers(0, 10_000), zeros=st.integers(0, 35))
def test_stays_in_its_range_and_rises_with_zeros(seed, zeros):
    maps = maps_of(seed).flatten(1)
    sparser = maps.clone()
    sparser.scatter_(1, maps.abs().argsort(1)[:, :zeros], 0)
    assert (gini(sparser) >= gini(maps) - 1e-14).all()
    assert (gini(sparser) <= 1 - 1 / 36 + 1e-14).all()
    assert (gini(1 + 1e-15 * maps.double()) >= 0).all()


@few
@given(seed=st.integers(0, 10_000), size=st.sampled_from([1, 7, 64]))
def test_neither_batch_size_nor_batch_mates_matter(seed, size):
    maps = maps_of(seed, count=64) * torch.logspace(-6, 6, 64)[:, None, None, None]
    order = torch.randperm(64, generator=torch.Generator().manual_seed(seed))
    for rows in order.split(size)[:3]:
        torch.testing.assert_close(gini(maps[rows]), gini(maps)[rows], rtol=1e-13, atol=0)


def test_a_map_that_is_not_finite_is_undefined_and_alone():
    maps = maps_of(0)
    maps[1, 0, 2, 2], maps[3, 0, 0, 0] = torch.nan, torch.inf
    assert gini(maps).isnan().tolist() == [False, True, False, True, False]


def test_does_not_write_into_the_map():
    for measure in (gini, gini_legacy):
        maps = maps_of(0, dtype=torch.float64)
        before = maps.clone()
        measure(maps)
        assert torch.equal(maps, before)


@pytest.mark.parametrize("measure", [gini, gini_legacy])
def test_refuses_what_are_not_maps(measure):
    with pytest.raises(BadInput, match=r"\[B, …\]"):
        measure(torch.zeros(5))
    with pytest.raises(BadInput, match="at least one entry"):
        measure(torch.zeros(5, 0))
    assert measure(torch.zeros(0, 4)).shape == (0,)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("spread", [0, 5])
def test_legacy_equals_quantus(quantus, dtype, spread):
    """Maps of one batch, from equal to very different scale; one of them is zero."""
    maps = maps_of(1, count=9, side=8, dtype=dtype) * torch.logspace(-spread, 0, 9).to(dtype)[:, None, None, None]
    maps[4] = 0
    expected = torch.from_numpy(quantus("sparseness", attributions=maps.numpy())["scores"])
    torch.testing.assert_close(gini_legacy(maps), expected, rtol=1e-12, atol=1e-14)


def test_clean_equals_quantus_for_one_map_but_for_its_offset(quantus):
    maps = maps_of(2, count=1, side=16, dtype=torch.float64)
    expected = torch.from_numpy(quantus("sparseness", attributions=maps.numpy())["scores"])
    torch.testing.assert_close(gini(maps), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("scale", "loss"), [(1e-5, -0.005), (1e-6, -0.05)])
def test_legacy_loses_index_beside_a_larger_map_and_clean_does_not(scale, loss):
    small = maps_of(4, count=1, side=32) * scale
    batch = torch.cat([small, torch.ones(1, 1, 32, 32)])
    assert (gini_legacy(batch) - gini(small))[0].item() == pytest.approx(loss, rel=0.15)
    assert gini(batch)[0] == gini(small)[0]


def test_legacy_of_zeros_is_zero():
    """Quantus' index of equal entries; its wrapper refuses a batch of nothing else."""
    assert gini_legacy(torch.zeros(2, 1, 4, 4)).tolist() == pytest.approx([0, 0], abs=1e-15)
