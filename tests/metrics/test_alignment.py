"""Alignment: against independent implementations, ties, what is undefined, what must not matter."""

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu, zscore

from pellucid.errors import BadInput
from pellucid.metrics import alignment
from pellucid.metrics.alignment import auc, energy_inside, nss, pointing_game

every = pytest.mark.parametrize("metric", [getattr(alignment, name) for name in alignment.__all__])


def maps(*rows):
    """Maps [B, 1, 1, W] of the given rows."""
    return torch.tensor(rows, dtype=torch.float64)[:, None, None]


def drawn(seed, count=6, levels=None):
    """Signed saliency (with few `levels`: many ties) and attention, [B, 1, 5, 7]."""
    generator = torch.Generator().manual_seed(seed)
    saliency = torch.randn(count, 1, 5, 7, generator=generator, dtype=torch.float64)
    if levels:
        saliency = (saliency * levels).round() / levels
    return saliency, torch.rand(count, 1, 5, 7, generator=generator, dtype=torch.float64)


def by_pairs(saliency, attention):
    """AUC from its meaning: all pairs of an attended and another pixel."""
    a, inside = np.abs(saliency.numpy()).ravel(), attention.numpy().ravel() > 0.5
    wins = [float(p > n) + 0.5 * float(p == n) for p in a[inside] for n in a[~inside]]
    return sum(wins) / len(wins)


@pytest.mark.parametrize("levels", [None, 1, 2])
def test_auc_is_the_share_of_pairs_won(levels):
    saliency, attention = drawn(0, levels=levels)
    expected = [by_pairs(s, m) for s, m in zip(saliency, attention, strict=True)]
    np.testing.assert_allclose(auc(saliency, attention).numpy(), expected, rtol=1e-14)


@pytest.mark.parametrize("levels", [None, 2])
def test_auc_is_that_of_scikit_learn_and_of_mann_and_whitney(levels):
    metrics = pytest.importorskip("sklearn.metrics")
    saliency, attention = drawn(1, levels=levels)
    for s, m, found in zip(saliency, attention, auc(saliency, attention).tolist(), strict=True):
        a, inside = s.abs().flatten().numpy(), (m > 0.5).flatten().numpy()
        assert found == pytest.approx(metrics.roc_auc_score(inside, a), rel=1e-12)
        assert found == pytest.approx(mannwhitneyu(a[inside], a[~inside])[0] / (inside.sum() * (~inside).sum()))


def test_half_attended_is_not_attended():
    saliency, attention = maps([2, 1, 3]), maps([0, 0.5, 1])
    assert auc(saliency, attention).item() == 1
    assert nss(saliency, attention).item() == pytest.approx(1.5**0.5)
    assert pointing_game(saliency, maps([1, 0.5, 0.5])).item() == 0


def test_energy_inside_is_the_weighted_share():
    found = energy_inside(maps([1, -3, 0, 4], [2, 2, 2, 2]), maps([1, 0.5, 1, 0], [1, 0, 0, 0.25]))
    assert found.tolist() == pytest.approx([2.5 / 8, 1.25 / 4])


def test_nss_is_the_mean_z_score():
    saliency, attention = drawn(2)
    z = zscore(saliency.abs().flatten(1).numpy(), axis=1)
    expected = [row[m.flatten().numpy() > 0.5].mean() for row, m in zip(z, attention, strict=True)]
    np.testing.assert_allclose(nss(saliency, attention).numpy(), expected, rtol=1e-12)
    assert nss(maps([0, 0, 0, 4]), maps([0, 0, 0, 1])).item() == pytest.approx(3**0.5)


def test_the_pointing_game_looks_at_the_largest_size():
    m = maps([0, 1, 0.5, 0.6])
    for row, expected in (([1, -5, 2, 3], 1), ([9, 1, 2, 3], 0), ([1, 2, 9, 3], 0), ([1, 2, 3, -9], 1)):
        assert pointing_game(maps(row), m).item() == expected
    assert pointing_game(maps([5, -5, 5, 1]), m).item() == pytest.approx(1 / 3)


@every
def test_the_best_and_the_worst_map(metric):
    attention = drawn(3)[1].round()
    best, worst = metric(attention, attention), metric(1 - attention, attention)
    assert (best > worst).all()
    if metric is not nss:
        assert torch.equal(best, torch.ones_like(best))
        assert torch.equal(worst, torch.zeros_like(worst))


@every
def test_a_map_of_zeros_or_with_an_infinity_is_aligned_with_nothing(metric):
    saliency, attention = drawn(4, count=5)
    expected = metric(saliency, attention)
    saliency[1], saliency[2, 0, 3, 3], saliency[4, 0, 0, 0] = 0, torch.nan, -torch.inf
    found = metric(saliency, attention)
    assert found.isnan().tolist() == [False, True, True, False, True]
    assert torch.equal(found[[0, 3]], expected[[0, 3]])


@pytest.mark.parametrize(("level", "energy", "pointing"), [(0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (0.5, 0.5, 0.0)])
def test_where_nobody_or_everybody_looks_everywhere(level, energy, pointing):
    saliency, attention = drawn(5)
    attention = torch.full_like(attention, level)
    assert auc(saliency, attention).isnan().all()
    assert nss(saliency, attention).isnan().all()
    assert energy_inside(saliency, attention).tolist() == pytest.approx([energy] * 6)
    assert pointing_game(saliency, attention).tolist() == [pointing] * 6


def test_a_constant_map_is_at_chance():
    attention = drawn(6)[1]
    constant = torch.full_like(attention, 0.1)
    area = (attention > 0.5).double().flatten(1).mean(1)
    assert auc(constant, attention).tolist() == [0.5] * 6
    assert nss(constant, attention).isnan().all()
    torch.testing.assert_close(pointing_game(constant, attention), area)
    torch.testing.assert_close(energy_inside(constant, attention), attention.flatten(1).mean(1))


@every
@given(seed=st.integers(0, 1000), exponent=st.integers(-1000, 1000))
@example(seed=0, exponent=1020)
@example(seed=0, exponent=-1000)
def test_sign_and_scale_do_not_matter(metric, seed, exponent):
    saliency, attention = drawn(seed, count=2)
    scaled = -saliency * 2.0**exponent
    torch.testing.assert_close(metric(scaled, attention), metric(saliency, attention), equal_nan=True)


@every
def test_batch_mates_and_precision_do_not_matter(metric):
    saliency, attention = drawn(7)
    saliency, attention = saliency.float(), attention.float()
    together = metric(saliency, attention)
    assert together.shape == (6,)
    assert together.dtype == torch.float64
    alone = torch.cat([metric(saliency[i : i + 1], attention[i : i + 1]) for i in range(6)])
    torch.testing.assert_close(together, alone, rtol=1e-12, atol=1e-14)
    assert torch.equal(together, metric(saliency.double(), attention.double()))
    assert metric(saliency[:0], attention[:0]).shape == (0,)


def test_shares_of_a_map_and_of_its_complement_add_up_to_one():
    saliency, attention = drawn(8)
    torch.testing.assert_close(
        energy_inside(saliency, attention) + energy_inside(saliency, 1 - attention), torch.ones(6).double()
    )
    torch.testing.assert_close(auc(saliency, attention) + auc(saliency, 1 - attention), torch.ones(6).double())


@every
def test_impossible_maps_are_refused(metric):
    saliency, attention = drawn(9)
    with pytest.raises(BadInput, match=r"saliency maps \[B, 1, H, W\]; got \(6, 3, 5, 7\)"):
        metric(saliency.expand(6, 3, 5, 7), attention)
    with pytest.raises(BadInput, match=r"of shape \(6, 1, 5, 7\), one for each image; got torch.float64 of shape \(1,"):
        metric(saliency, attention[:1])
    with pytest.raises(BadInput, match=r"must lie in \[0, 1\]"):
        metric(saliency, 2 * attention)
    with pytest.raises(BadInput, match=r"must lie in \[0, 1\]"):
        metric(saliency, attention.where(attention < 0.9, torch.nan))
