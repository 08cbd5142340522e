import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pellucid.errors import BadInput
from pellucid.metrics.faithfulness import diffroad, keep_mask

few = settings(max_examples=25, deadline=None)


def attributions_of(seed, count=4, levels=None):
    maps = torch.randn(count, 2, 3, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return maps if levels is None else (maps * levels).round() / levels


@few
@given(seed=st.integers(0, 10_000), share=st.floats(0, 1), levels=st.sampled_from([None, 1, 3]), most=st.booleans())
def test_keeps_what_numpy_ranks_first(seed, share, levels, most):
    maps = attributions_of(seed, levels=levels)
    found = keep_mask(maps, share, most=most)
    for one, kept in zip(maps.numpy().reshape(4, -1), found.flatten(1).numpy(), strict=True):
        order = np.lexsort((np.arange(30), -np.abs(one) if most else np.abs(one)))
        assert sorted(np.flatnonzero(kept)) == sorted(order[: round(share * 30)])


@few
@given(seed=st.integers(0, 10_000), count=st.integers(0, 30))
def test_the_two_sides_complete_each_other_where_nothing_ties(seed, count):
    maps = attributions_of(seed)
    most, least = keep_mask(maps, count / 30, most=True), keep_mask(maps, 1 - count / 30, most=False)
    assert torch.equal(most, ~least)
    assert most.sum((1, 2, 3)).eq(count).all()


def test_a_map_that_says_nothing_keeps_the_same_both_ways():
    for value in (0.0, -2.0):
        same = torch.full((2, 1, 4, 4), value)
        assert torch.equal(keep_mask(same, 0.3, most=True), keep_mask(same, 0.3, most=False))
        assert keep_mask(same, 0.25, most=True)[0, 0].tolist() == [[True] * 4, *[[False] * 4] * 3]


@few
@given(seed=st.integers(0, 10_000), power=st.floats(-200, 200), most=st.booleans())
def test_scale_signs_and_batch_mates_do_not_matter(seed, power, most):
    maps = attributions_of(seed, levels=2)
    expected = keep_mask(maps, 0.3, most=most)
    assert torch.equal(keep_mask(maps.abs() * 10**power, 0.3, most=most), expected)
    for i in range(4):
        assert torch.equal(keep_mask(maps[i : i + 1], 0.3, most=most)[0], expected[i])


def test_refuses_what_has_no_order():
    maps = attributions_of(0)
    for share in (-0.1, 1.1):
        with pytest.raises(BadInput, match=r"must lie in \[0, 1\]"):
            keep_mask(maps, share, most=True)
    maps[2, 0, 0, 0] = torch.nan
    with pytest.raises(BadInput, match="image 2 of the batch contains NaN"):
        keep_mask(maps, 0.5, most=True)


def brightest(x):
    """Class 1 where pixel (0, 0) is brighter than 0.5, else class 0."""
    corner = x[:, 0, 0, 0]
    return torch.stack([0.5 - corner, corner - 0.5], dim=1)


def corner_case(importance):
    """A bright corner among dark pixels of class 1; the corner has the given importance among pixels of 1."""
    x, attribution = torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2)
    x[0, 0, 0, 0], attribution[0, 0, 0, 0] = 1.0, importance
    return x, torch.tensor([1]), attribution


@pytest.mark.parametrize(("importance", "expected"), [(2.0, 1), (-2.0, 1), (0.5, -1), (0.0, -1)])
def test_tells_a_good_ranking_from_an_inverted_one(importance, expected):
    x, y, attribution = corner_case(importance)
    assert diffroad(brightest, x, y, attribution, levels=[0.25], fill=0.3).tolist() == [[expected]]
    assert diffroad(brightest, x, y, attribution, levels=[0.25], fill=0.9).tolist() == [[0]]  # the fill is bright, too


def test_is_the_difference_of_two_masked_predictions(tiny_net, tiny_batch):
    x, y = tiny_batch
    attribution = torch.randn(x.shape, generator=torch.Generator().manual_seed(3), dtype=x.dtype)
    levels = (0.1, 0.5, 0.9)
    found = diffroad(tiny_net, x, y, attribution, levels=levels, fill=0.4)
    assert found.shape == (8, 3)
    assert found.dtype == torch.float64
    for i in range(8):
        for k, share in enumerate(levels):
            right = []
            for sign in (-1, 1):
                image = torch.full((36,), 0.4, dtype=x.dtype)
                first = np.argsort(sign * attribution[i].abs().flatten().numpy())[: round(36 * share)]
                image[first] = x[i].flatten()[first]
                right.append(int(tiny_net(image.view(1, 1, 6, 6)).argmax()) == int(y[i]))
            assert found[i, k] == right[0] - right[1]
    assert found.abs().sum() > 0


def test_no_graph_is_built(tiny_net, tiny_batch):
    x, y = tiny_batch

    def watched(images):
        assert not torch.is_grad_enabled()
        return tiny_net(images)

    diffroad(watched, x, y, x, levels=[0.2], fill=0.4)


def test_batch_mates_do_not_matter(tiny_net, tiny_batch):
    x, y = tiny_batch
    attribution = torch.randn(x.shape, generator=torch.Generator().manual_seed(3), dtype=x.dtype)
    whole = diffroad(tiny_net, x, y, attribution, levels=[0.2, 0.6], fill=0.4)
    for i in range(8):
        rows = slice(i, i + 1)
        assert torch.equal(
            diffroad(tiny_net, x[rows], y[rows], attribution[rows], levels=[0.2, 0.6], fill=0.4)[0], whole[i]
        )
    assert diffroad(tiny_net, x, y, attribution, levels=[], fill=0.4).shape == (8, 0)


def test_refuses_what_does_not_belong_together(tiny_net, tiny_batch):
    x, y = tiny_batch
    for attribution, labels in ((x[:, :, :3], y), (x[:4], y), (x, y[:4])):
        with pytest.raises(BadInput, match="must belong together"):
            diffroad(tiny_net, x, labels, attribution, levels=[0.1], fill=0.4)
    with pytest.raises(BadInput, match=r"must lie in \[0, 1\]"):
        diffroad(tiny_net, x, y, x, levels=[2], fill=0.4)
