import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import structural_similarity

from pellucid.errors import BadInput
from pellucid.metrics.stability import ssim, ssim_clean, ssim_legacy

few = settings(max_examples=20, deadline=None)


def maps_of(seed, count=4, height=9, width=12, correlated=0.5):
    """Two batches of half-normal maps that resemble each other."""
    generator = torch.Generator().manual_seed(seed)
    a, b = torch.randn(2, count, 1, height, width, generator=generator, dtype=torch.float64)
    return a.abs(), (correlated * a + (1 - correlated) * b).abs()


def skimage(a, b, data_range, window=5):
    options = {"win_size": window, "data_range": data_range, "gaussian_weights": False}
    pairs = zip(a[:, 0].numpy(), b[:, 0].numpy(), strict=True)
    return torch.tensor([structural_similarity(one, other, **options) for one, other in pairs], dtype=torch.float64)


@few
@given(
    seed=st.integers(0, 10_000),
    power=st.floats(-3, 2),
    data_range=st.sampled_from([0.1, 1, 2]),
    window=st.sampled_from([3, 5, 7]),
    signed=st.booleans(),
)
def test_equals_scikit_image(seed, power, data_range, window, signed):
    a, b = (maps * 10**power - (0.5 if signed else 0) for maps in maps_of(seed))
    torch.testing.assert_close(
        ssim(a, b, data_range=data_range, window=window), skimage(a, b, data_range, window), rtol=1e-10, atol=1e-10
    )


def test_legacy_equals_scikit_image_on_maps_as_they_are():
    a, b = maps_of(1, height=28, width=28)
    torch.testing.assert_close(ssim_legacy(a, b), skimage(a, b, 2), rtol=1e-10, atol=1e-10)


def test_legacy_in_float32_as_published_differs_by_rounding_only():
    a, b = (maps.float() for maps in maps_of(1, height=28, width=28))
    torch.testing.assert_close(ssim_legacy(a, b), skimage(a, b, 2), rtol=0, atol=2e-6)


def test_clean_equals_scikit_image_on_maps_divided_by_their_maxima():
    a, b = maps_of(2, height=28, width=28)
    expected = skimage(a / a.amax((2, 3), keepdim=True), b / b.amax((2, 3), keepdim=True), 1)
    torch.testing.assert_close(ssim_clean(a, b), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("scale", "golden"),
    [(1, 0.001), (0.3, 0.06), (0.1, 0.33), (0.06, 0.58), (0.03, 0.83), (0.01, 0.975), (0.003, 0.998)],
)
def test_golden_scale_confound_of_legacy(scale, golden):
    """Independent maps look alike to legacy once they are small; to clean they never do."""
    a, b = maps_of(3, count=1000, height=32, width=32, correlated=0)
    assert ssim_legacy(a * scale, b * scale).mean().item() == pytest.approx(golden, abs=0.01)
    assert ssim_clean(a * scale, b * scale).mean().item() < 0.1


@few
@given(seed=st.integers(0, 10_000), power=st.floats(-6, 6), other=st.floats(-6, 6))
def test_scale_of_either_map_does_not_matter_to_clean(seed, power, other):
    a, b = maps_of(seed)
    torch.testing.assert_close(ssim_clean(a * 10**power, b * 10**other), ssim_clean(a, b), rtol=0, atol=1e-12)
    single = ssim_clean((a.float() * 10**power), (b.float() * 10**other))
    torch.testing.assert_close(single, ssim_clean(a, b), rtol=0, atol=1e-5)


@few
@given(seed=st.integers(0, 10_000), exponent=st.integers(-100, 100))
def test_a_power_of_two_changes_nothing_in_any_precision(seed, exponent):
    a, b = (maps.bfloat16() for maps in maps_of(seed))
    torch.testing.assert_close(ssim_clean(a * 2.0**exponent, b), ssim_clean(a, b), rtol=0, atol=1e-12)


@few
@given(seed=st.integers(0, 10_000), data_range=st.sampled_from([1, 2]))
def test_limits_symmetries_and_range(seed, data_range):
    a, b = maps_of(seed)
    between = ssim(a, b, data_range=data_range)
    assert torch.equal(ssim(a, a, data_range=data_range), torch.ones(4, dtype=torch.float64))
    assert torch.equal(ssim(b, a, data_range=data_range), between)
    assert ((between < 1) & (between >= -1)).all()
    for turn in (lambda m: m.flip(3), lambda m: m.flip(2), lambda m: m.mT):
        torch.testing.assert_close(ssim(turn(a), turn(b), data_range=data_range), between, rtol=1e-12, atol=1e-14)


@few
@given(seed=st.integers(0, 10_000), size=st.sampled_from([1, 7, 64]))
def test_neither_batch_size_nor_batch_mates_matter(seed, size):
    a, b = (maps * torch.logspace(-6, 6, 64)[:, None, None, None] for maps in maps_of(seed, count=64))
    order = torch.randperm(64, generator=torch.Generator().manual_seed(seed))
    for measure in (ssim_clean, ssim_legacy):
        together = measure(a, b)
        for rows in order.split(size)[:2]:
            torch.testing.assert_close(measure(a[rows], b[rows]), together[rows], rtol=1e-12, atol=1e-14)


@few
@given(seed=st.integers(0, 10_000))
def test_clean_keeps_the_sign_of_maps_that_are_mostly_negative(seed):
    a, b = (maps - 3 for maps in maps_of(seed))
    torch.testing.assert_close(ssim_clean(a, b), ssim_clean(-a, -b), rtol=1e-12, atol=0)


def test_a_large_common_offset_does_not_cancel():
    """Variances of 1e-4 on top of 1e4, where the mean of squares minus the square of the mean keeps no digit."""
    a, b = (1e-2 * maps.round(decimals=3) for maps in maps_of(4))
    a, b = 1e4 + a, 1e4 + b
    exact = [_two_pass(one, other, 0.01) for one, other in zip(a[:, 0].numpy(), b[:, 0].numpy(), strict=True)]
    torch.testing.assert_close(ssim(a, b, data_range=0.01), torch.tensor(exact, dtype=torch.float64), rtol=1e-7, atol=0)


def _two_pass(a, b, data_range):
    """SSIM window by window, with numpy's two-pass covariance."""
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    values = []
    for row in range(a.shape[0] - 4):
        for column in range(a.shape[1] - 4):
            one, other = (m[row : row + 5, column : column + 5].ravel() for m in (a, b))
            (va, cov), (_, vb) = np.cov(one, other)
            ma, mb = one.mean(), other.mean()
            values.append((2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2)))
    return float(np.mean(values))


def test_undefined_maps_stay_alone():
    a, b = maps_of(5)
    a[1], b[2, 0, 0, 0] = 0, torch.nan
    assert ssim_clean(a, b).isnan().tolist() == [False, True, True, False]
    assert ssim_legacy(a, b).isnan().tolist() == [False, False, True, False]
    constant = torch.full((1, 1, 6, 6), 0.4)
    assert ssim_clean(constant, 3 * constant).item() == 1


@pytest.mark.parametrize(
    ("a", "b", "window", "message"),
    [
        ((2, 1, 8, 8), (1, 1, 8, 8), 5, "of one shape"),
        ((2, 3, 8, 8), (2, 3, 8, 8), 5, r"\[B, 1, H, W\]"),
        ((2, 1, 4, 8), (2, 1, 4, 8), 5, "fit into the map of 4 × 8; got 5"),
        ((2, 1, 8, 8), (2, 1, 8, 8), 4, "must be odd"),
        ((2, 1, 8, 8), (2, 1, 8, 8), 1, "at least 3"),
    ],
)
def test_refuses_what_it_cannot_compare(a, b, window, message):
    with pytest.raises(BadInput, match=message):
        ssim(torch.zeros(a), torch.zeros(b), data_range=1, window=window)
