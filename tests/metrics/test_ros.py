import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pellucid.errors import BadInput
from pellucid.metrics.stability import (
    log10_mean,
    log10_mean_legacy,
    log10_median,
    one_sided_noise,
    ros_norm,
    ros_quantus,
    symmetric_noise,
)

few = settings(max_examples=20, deadline=None)
both = pytest.mark.parametrize("ros", [ros_quantus, ros_norm])


def case(seed, count=6, draws=4, classes=3, moved=0.5):
    """Maps with some exact zeros, logits, and which draws kept the prediction."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    e = normal(count, 1, 4, 4)
    e[normal(count, 1, 4, 4) > 1.5] = 0
    e_noisy = e[:, None] + 0.3 * normal(count, draws, 1, 4, 4)
    z = normal(count, classes)
    z_noisy = z[:, None] + moved * normal(count, draws, classes)
    return e, e_noisy, z, z_noisy, z_noisy.argmax(2) == z.argmax(1)[:, None]


def rows_of(values, rows):
    return [value[rows] for value in values]


def test_golden_value():
    e, e_noisy = torch.tensor([[1.0, 2], [0, 4]]).double(), torch.tensor([[1.5, 2], [1e-6, 3]]).double()
    z_noisy = torch.tensor([[0.5, -0.2]]).double()
    same = torch.ones(1, 1, dtype=torch.bool)
    found = ros_quantus(e[None, None], e_noisy[None, None, None], torch.zeros(1, 2), z_noisy[None], same)
    assert found.numerator.item() == pytest.approx(1.145644, abs=5e-7)
    assert found.denominator.item() == pytest.approx(0.538516, abs=5e-7)
    assert found.value.item() == pytest.approx(2.127407, abs=5e-7)


@pytest.mark.parametrize("seed", range(4))
def test_quantus_form_equals_quantus(quantus, seed):
    e, e_noisy, z, z_noisy, same = case(seed, count=12, moved=0.4)
    e_noisy[3], z_noisy[3] = e[3], z[3]  # nothing moves: 0 over 1e-6
    z_noisy[4, 1] = z[4]  # the maps move, the logits do not: a denominator of 1e-6
    same = z_noisy.argmax(2) == z.argmax(1)[:, None]
    arrays = {"e": e, "e_noisy": e_noisy.transpose(0, 1), "z": z, "z_noisy": z_noisy.transpose(0, 1)}
    answer = quantus("relative_output_stability", **{name: array.numpy() for name, array in arrays.items()})
    found = ros_quantus(e, e_noisy, z, z_noisy, same)
    expected = torch.from_numpy(answer["scores"])
    assert 0 < expected.isnan().sum() < 12
    torch.testing.assert_close(found.value, expected, rtol=1e-12, atol=0, equal_nan=True)
    draws = torch.from_numpy(answer["draws"])
    unflipped = same.all(1)
    torch.testing.assert_close(found.value[unflipped], draws.amax(0)[unflipped], rtol=1e-12, atol=0)


@few
@given(seed=st.integers(0, 10_000))
def test_norm_form_by_hand(seed):
    e, e_noisy, z, z_noisy, same = case(seed)
    found = ros_norm(e, e_noisy, z, z_noisy, same)
    for i in range(len(e)):
        ratios = [
            (np.linalg.norm(e[i] - e_noisy[i, s]) / np.linalg.norm(e[i]))
            / (np.linalg.norm(z[i] - z_noisy[i, s]) / np.linalg.norm(z[i]))
            for s in range(4)
            if same[i, s]
        ]
        assert found.valid_draws[i] == len(ratios)
        if ratios:
            assert found.value[i].item() == pytest.approx(max(ratios), rel=1e-12)
        else:
            assert found.value[i].isnan()


@both
@few
@given(seed=st.integers(0, 10_000))
def test_value_is_numerator_over_denominator_of_one_draw(ros, seed):
    e, e_noisy, z, z_noisy, same = case(seed)
    found = ros(e, e_noisy, z, z_noisy, same)
    torch.testing.assert_close(found.value, found.numerator / found.denominator, equal_nan=True)
    single = [ros(e, e_noisy[:, s, None], z, z_noisy[:, s, None], same[:, s, None]) for s in range(4)]
    for i in (~found.value.isnan()).nonzero().flatten().tolist():
        parts = [(one.numerator[i].item(), one.denominator[i].item()) for one in single]
        assert (found.numerator[i].item(), found.denominator[i].item()) in parts


def test_a_changed_prediction_costs_quantus_the_image_and_norm_the_draw():
    e, e_noisy, z, z_noisy, _ = case(1, count=3)
    same = torch.tensor([[True] * 4, [True, False, True, True], [False] * 4])
    legacy, clean = ros_quantus(e, e_noisy, z, z_noisy, same), ros_norm(e, e_noisy, z, z_noisy, same)
    for found, undefined in ((legacy, [False, True, True]), (clean, [False, False, True])):
        assert found.value.isnan().tolist() == undefined
        assert found.numerator.isnan().tolist() == undefined
        assert found.denominator.isnan().tolist() == undefined
        assert found.valid_draws.tolist() == [4, 3, 0]
    kept = ros_norm(e, e_noisy[:, [0, 2, 3]], z, z_noisy[:, [0, 2, 3]], same[:, [0, 2, 3]])
    assert clean.value[1] == kept.value[1]


@both
def test_identical_maps_give_zero(ros):
    e, _, z, z_noisy, _ = case(2)
    found = ros(e, e[:, None].repeat(1, 4, 1, 1, 1), z, z_noisy, torch.ones(6, 4, dtype=torch.bool))
    assert torch.equal(found.value, torch.zeros(6, dtype=torch.float64))


def test_norm_form_leaves_out_draws_without_a_ratio():
    e, e_noisy, z, z_noisy, _ = case(3)
    same = torch.ones(6, 4, dtype=torch.bool)
    e[0] = 0  # no relative change of the map
    z_noisy[1] = z[1]  # the logits never move
    z[2] = 0  # no relative change of the logits
    z_noisy[3, :2] = z[3]  # they move in two draws of four
    e_noisy[4, 0] = torch.nan
    found = ros_norm(e, e_noisy, z, z_noisy, same)
    assert found.valid_draws.tolist() == [0, 0, 0, 2, 3, 4]
    assert found.value.isnan().tolist() == [True, True, True, False, False, False]


@few
@given(seed=st.integers(0, 10_000), power=st.floats(-6, 6), other=st.floats(-6, 6))
def test_norm_form_knows_no_scale(seed, power, other):
    e, e_noisy, z, z_noisy, same = case(seed)
    scaled = ros_norm(e * 10**power, e_noisy * 10**power, z * 10**other, z_noisy * 10**other, same)
    torch.testing.assert_close(
        scaled.value, ros_norm(e, e_noisy, z, z_noisy, same).value, rtol=1e-10, atol=0, equal_nan=True
    )


def test_quantus_form_rewards_large_logits():
    e, e_noisy, z, z_noisy, _ = case(5)
    same = torch.ones(6, 4, dtype=torch.bool)
    cold, hot = (ros_quantus(e, e_noisy, z / t, z_noisy / t, same).value for t in (1, 10))
    torch.testing.assert_close(hot, 10 * cold)


@both
@few
@given(seed=st.integers(0, 10_000))
def test_order_of_draws_entries_and_classes_does_not_matter(ros, seed):
    e, e_noisy, z, z_noisy, same = case(seed)
    generator = torch.Generator().manual_seed(seed)
    draws, entries, classes = (torch.randperm(n, generator=generator) for n in (4, 16, 3))
    moved = ros(
        e.flatten(1)[:, entries],
        e_noisy.flatten(2)[:, draws][:, :, entries],
        z[:, classes],
        z_noisy[:, draws][:, :, classes],
        same[:, draws],
    )
    for found, expected in zip(moved, ros(e, e_noisy, z, z_noisy, same), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=0, equal_nan=True)


@both
@few
@given(seed=st.integers(0, 10_000), size=st.sampled_from([1, 7, 64]))
def test_neither_batch_size_nor_batch_mates_matter(ros, seed, size):
    everything = case(seed, count=64)
    together = ros(*everything)
    for rows in torch.randperm(64, generator=torch.Generator().manual_seed(seed)).split(size)[:3]:
        for found, expected in zip(ros(*rows_of(everything, rows)), rows_of(together, rows), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-13, atol=0, equal_nan=True)


@both
@pytest.mark.parametrize("short", [(0,), (1,), (2,), (3,), (4,), (2, 3), (0, 1)])
def test_refuses_shapes_that_do_not_belong_together(ros, short):
    values = list(case(0))
    for i in short:
        values[i] = values[i][:-1]
    with pytest.raises(BadInput, match="ROS takes"):
        ros(*values)


@both
def test_refuses_a_same_that_is_not_boolean_or_has_no_draws(ros):
    e, e_noisy, z, z_noisy, same = case(0)
    with pytest.raises(BadInput, match="boolean same"):
        ros(e, e_noisy, z, z_noisy, same.float())
    with pytest.raises(BadInput, match="S ≥ 1"):
        ros(e, e_noisy[:, :0], z, z_noisy[:, :0], same[:, :0])


def test_noise_is_uniform_on_what_it_says():
    uniform = torch.rand(2, 3, 1, 40, 40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    one_sided, symmetric = one_sided_noise(uniform), symmetric_noise(uniform)
    assert (one_sided.min().item(), one_sided.max().item()) == pytest.approx((0.02, 0.2), abs=1e-3)
    assert (symmetric.min().item(), symmetric.max().item()) == pytest.approx((-0.05, 0.05), abs=1e-3)
    assert one_sided.mean().item() == pytest.approx(0.11, abs=0.003)
    torch.testing.assert_close((one_sided - 0.02) / 0.18, (symmetric + 0.05) / 0.1)


def test_the_quirk_leaves_one_entry_of_each_draw_alone():
    uniform = torch.rand(2, 3, 3, 5, 5)
    quirk, whole = one_sided_noise(uniform, skip_first=True), one_sided_noise(uniform)
    difference = (quirk != whole).flatten(2)
    assert difference[:, :, 0].all()
    assert not difference[:, :, 1:].any()
    assert (quirk.flatten(2)[:, :, 0] == 0).all()


@pytest.mark.parametrize("noise", [one_sided_noise, symmetric_noise])
def test_noise_refuses_numbers_that_are_not_uniform(noise):
    with pytest.raises(BadInput, match=r"in \[0, 1\)"):
        noise(torch.randn(2, 2, 1, 5, 5))
    with pytest.raises(BadInput, match=r"the shape \(2, 1, 5, 5\)"):
        noise(torch.rand(2, 1, 5, 5))


def test_aggregates_count_what_they_leave_out():
    values = torch.tensor([1.0, torch.nan, 100.0, 1.0, torch.nan])
    assert log10_mean(values) == (pytest.approx(math.log10(34)), 3, 2)
    assert log10_median(values) == (0, 3, 2)
    assert log10_median(torch.tensor([1.0, 10.0, 30.0, 1e9])).value == pytest.approx(math.log10(20))


def test_legacy_mean_weighs_batches_and_not_images():
    values = torch.tensor([1.0, torch.nan, 3.0, 5.0, torch.nan, torch.nan, 100.0])
    found = log10_mean_legacy(values, batch_size=2)  # means 1, 4, none, 100
    assert found == (pytest.approx(math.log10(35)), 4, 3)
    assert log10_mean_legacy(values, batch_size=7).value == pytest.approx(log10_mean(values).value)
    with pytest.raises(BadInput, match="batch size"):
        log10_mean_legacy(values, batch_size=0)


@pytest.mark.parametrize("aggregate", [log10_mean, log10_median, lambda v: log10_mean_legacy(v, batch_size=2)])
def test_aggregates_at_the_limits(aggregate):
    assert math.isnan(aggregate(torch.tensor([torch.nan, torch.nan])).value)
    assert aggregate(torch.tensor([torch.nan, torch.nan]))[1:] == (0, 2)
    assert math.isnan(aggregate(torch.tensor([])).value)
    assert aggregate(torch.tensor([0.0, 0.0])).value == -math.inf
    assert aggregate(torch.tensor([torch.inf, torch.inf])).value == math.inf
