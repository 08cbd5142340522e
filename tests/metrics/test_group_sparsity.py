import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pellucid.errors import BadInput
from pellucid.metrics.sparsity import gini, group_gini, quiet_groups

few = settings(max_examples=20, deadline=None)
both = pytest.mark.parametrize("measure", [group_gini, quiet_groups])


def maps_of(seed, count=4, channels=2, size=(6, 8)):
    return torch.randn(count, channels, *size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def by_hand(maps, block, joint):
    """Norms of all groups [B, groups], one pixel after the other."""
    rows, columns = -(-maps.shape[2] // block), -(-maps.shape[3] // block)
    squares = torch.zeros(len(maps), 1 if joint else maps.shape[1], rows, columns, dtype=torch.float64)
    for c in range(maps.shape[1]):
        for i in range(maps.shape[2]):
            for j in range(maps.shape[3]):
                squares[:, 0 if joint else c, i // block, j // block] += maps[:, c, i, j] ** 2
    return squares.flatten(1).sqrt()


@few
@given(seed=st.integers(0, 1000), block=st.integers(1, 6), joint=st.booleans())
def test_equals_the_sums_by_hand(seed, block, joint):
    maps = maps_of(seed) * torch.logspace(-1, 1, 48, dtype=torch.float64).view(6, 8)
    norms = by_hand(maps, block, joint)
    found = group_gini(maps, block=block, joint_channels=joint)
    torch.testing.assert_close(found, gini(norms), rtol=1e-10, atol=1e-12)
    quiet = [float((row < 0.1 * row.max()).sum()) / len(row) for row in norms]
    assert quiet_groups(maps, block=block, joint_channels=joint).tolist() == pytest.approx(quiet)
    half = [float((row < 0.5 * row.max()).sum()) / len(row) for row in norms]
    assert quiet_groups(maps, block=block, share=0.5, joint_channels=joint).tolist() == pytest.approx(half)


def test_blocks_of_one_pixel_are_the_gini_of_all_entries():
    torch.testing.assert_close(group_gini(maps_of(0), block=1), gini(maps_of(0)), rtol=1e-12, atol=0)


def test_one_block_holds_everything():
    maps = torch.zeros(1, 1, 6, 6)
    maps[0, 0, 2:4, 4:6] = torch.tensor([[1.0, -2.0], [3.0, 0.5]])
    assert group_gini(maps, block=2).item() == pytest.approx(1 - 1 / 9)
    assert quiet_groups(maps, block=2).item() == pytest.approx(8 / 9)


def test_density_within_a_block_does_not_count():
    dense, sparse = torch.zeros(2, 1, 1, 4, 4)
    dense[0, 0, :2, :2], sparse[0, 0, 0, 0] = 0.5, 1.0
    assert group_gini(dense, block=2).item() == pytest.approx(group_gini(sparse, block=2).item(), abs=1e-12)
    assert gini(dense).item() < gini(sparse).item()


@both
@few
@given(seed=st.integers(0, 1000), power=st.floats(-200, 200))
def test_scale_and_signs_do_not_matter(measure, seed, power):
    maps = maps_of(seed)
    torch.testing.assert_close(measure(maps * 10**power, block=2), measure(maps, block=2), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(measure(maps.abs(), block=2), measure(maps, block=2), rtol=1e-12, atol=0)


@both
def test_computes_in_float64(measure):
    maps = maps_of(4).float()
    assert torch.equal(measure(maps, block=3), measure(maps.double(), block=3))


@both
@pytest.mark.parametrize("size", [1, 7])
def test_neither_batch_size_nor_batch_mates_matter(measure, size):
    maps = maps_of(3, count=32) * torch.logspace(-6, 6, 32, dtype=torch.float64)[:, None, None, None]
    order = torch.randperm(32, generator=torch.Generator().manual_seed(0))
    for rows in order.split(size):
        torch.testing.assert_close(measure(maps[rows], block=3), measure(maps, block=3)[rows], rtol=1e-12, atol=0)


@both
def test_zeros_are_not_sparse_and_what_is_not_finite_is_undefined(measure):
    maps = maps_of(0)
    maps[0], maps[1, 0, 0, 0], maps[2, 1, 5, 7] = 0, torch.nan, torch.inf
    found = measure(maps, block=2)
    assert found.dtype == torch.float64
    assert found[0] == 0
    assert found.isnan().tolist() == [False, True, True, False]


@both
def test_refuses_blocks_that_do_not_fit(measure):
    with pytest.raises(BadInput, match="block 7 does not fit"):
        measure(maps_of(0), block=7)
    with pytest.raises(BadInput, match="must be ≥ 1"):
        measure(maps_of(0), block=0)


@pytest.mark.parametrize("share", [0, -1, 1.5, float("nan")])
def test_refuses_a_share_that_is_none(share):
    with pytest.raises(BadInput, match=r"share.*\(0, 1\]"):
        quiet_groups(maps_of(0), block=2, share=share)
