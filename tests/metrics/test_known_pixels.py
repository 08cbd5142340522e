from itertools import permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pellucid.errors import BadInput
from pellucid.metrics.faithfulness import precision_at_truth

few = settings(max_examples=25, deadline=None)


def case(seed, count=4, levels=None, size=(4, 5)):
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randn(count, 1, *size, generator=generator, dtype=torch.float64)
    truth = (torch.rand(count, 1, *size, generator=generator) < 0.3).to(torch.uint8) * 255
    truth[:, 0, 0, 0] = 1
    return (maps if levels is None else (maps * levels).round() + 1e-3), truth


def expected_by_orders(sizes, relevant):
    """The mean over every order of the pixels in which ties may be broken."""
    n, hits = sum(relevant), []
    for order in permutations(range(len(sizes))):
        ranked = sorted(order, key=lambda i: -sizes[i])  # stable: the order decides among ties
        hits.append(sum(relevant[i] for i in ranked[:n]) / n)
    return sum(hits) / len(hits)


@few
@given(seed=st.integers(0, 10_000))
def test_without_ties_it_counts_the_first_n(seed):
    maps, truth = case(seed)
    for one, mask, found in zip(maps, truth, precision_at_truth(maps, truth), strict=True):
        relevant = mask.flatten() > 0
        first = one.abs().flatten().argsort(descending=True)[: int(relevant.sum())]
        assert found.item() == pytest.approx(relevant[first].double().mean().item(), abs=1e-12)


@settings(max_examples=12, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 2), min_size=6, max_size=6), relevant=st.lists(st.booleans(), min_size=6, max_size=6)
)
def test_ties_get_the_expected_share(sizes, relevant):
    if not any(sizes) or not any(relevant):
        return
    shape = (1, 1, 2, 3)
    found = precision_at_truth(torch.tensor(sizes, dtype=torch.float32).view(shape), torch.tensor(relevant).view(shape))
    assert found.item() == pytest.approx(expected_by_orders(sizes, relevant), abs=1e-12)


def test_limits():
    _, truth = case(0)
    inside = (truth > 0).double()
    assert precision_at_truth(inside, truth).tolist() == [1] * 4
    assert precision_at_truth(-0.2 * inside, truth).tolist() == [1] * 4
    assert precision_at_truth(torch.ones_like(inside), torch.ones_like(truth)).tolist() == [1] * 4
    constant = precision_at_truth(torch.full_like(inside, 3.0), truth)
    torch.testing.assert_close(constant, inside.flatten(1).mean(1))  # chance
    few_relevant = torch.zeros(1, 1, 4, 5)
    few_relevant[0, 0, 1, 1] = 1
    assert precision_at_truth(1 - few_relevant, few_relevant).item() == 0


@few
@given(seed=st.integers(0, 10_000), power=st.floats(-200, 200), levels=st.sampled_from([None, 1, 3]))
def test_scale_and_sign_do_not_matter(seed, power, levels):
    maps, truth = case(seed, levels=levels)
    assert torch.equal(precision_at_truth(-(10**power) * maps, truth), precision_at_truth(maps, truth))


@pytest.mark.parametrize("size", [1, 7])
def test_neither_batch_size_nor_batch_mates_matter(size):
    maps, truth = case(2, count=32, levels=2)
    order = torch.randperm(32, generator=torch.Generator().manual_seed(0))
    for rows in order.split(size):
        assert torch.equal(precision_at_truth(maps[rows], truth[rows]), precision_at_truth(maps, truth)[rows])


def test_undefined_images_stay_alone():
    maps, truth = case(3, count=5)
    maps[0], maps[1, 0, 2, 2], maps[2, 0, 0, 1], truth[3] = 0, torch.nan, torch.inf, 0
    found = precision_at_truth(maps, truth)
    assert found.dtype == torch.float64
    assert found.isnan().tolist() == [True, True, True, True, False]


@pytest.mark.parametrize(("one", "other"), [((2, 1, 4, 4), (2, 4, 4)), ((2, 3, 4, 4), (2, 3, 4, 4)), ((2, 4), (2, 4))])
def test_refuses_other_shapes(one, other):
    with pytest.raises(BadInput, match=r"\[B, 1, H, W\] of one shape"):
        precision_at_truth(torch.zeros(one), torch.ones(other))
