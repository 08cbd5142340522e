"""ROAD: the order of removal, the masks, and the curve against Quantus 0.5.3 and against a loop written here."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pellucid.errors import BadInput
from pellucid.metrics.faithfulness import (
    ROAD_PERCENTAGES,
    impute,
    removal_masks,
    removal_order,
    road,
    road_curve,
    tie_share,
    zero_map,
)


def linear_model(channels, size, generator, classes=4):
    weight = torch.randn(classes, channels * size * size, generator=generator, dtype=torch.float64)
    weight -= weight.mean(1, keepdim=True)  # else the mean brightness decides, which imputation keeps
    return weight, lambda x: x.flatten(1).to(weight) @ weight.t()


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def test_the_levels_and_their_counts():
    assert ROAD_PERCENTAGES == (1, 6, 11, 16, 21, 26, 31, 36, 41, 46, 51, 56, 61, 66, 71, 76, 81, 86, 91, 96)
    for size, first, last in ((28, [7, 47, 86], 752), (32, [10, 61], 983), (224, [501, 3010], 48168)):
        ranks = torch.arange(size * size)[None]
        counts = removal_masks(ranks, (size, size)).sum((2, 3))[0].tolist()
        assert counts[: len(first)] == first
        assert counts[-1] == last


@given(
    st.lists(st.sampled_from([0.0, -0.0, 0.25, 1.0, -1.0, 3.5]), min_size=12, max_size=12),
    st.integers(-19, 19),
    st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
)
def test_order_is_by_value_then_index_at_any_scale(values, power, dtype):
    saliency = torch.tensor(values, dtype=dtype).view(1, 1, 3, 4)
    expected = sorted(range(12), key=lambda i: (-values[i], i))
    for scaled in (saliency, saliency * 2.0**power):
        assert removal_order(scaled)[0].argsort().tolist() == expected


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_any_positive_scale_removes_the_same_pixels(generator, scale):
    saliency = torch.rand(3, 1, 16, 16, generator=generator, dtype=torch.float64)
    assert torch.equal(removal_order(saliency * scale), removal_order(saliency))


def test_exactly_k_pixels_go_although_70_percent_of_the_map_is_zero(generator):
    saliency = torch.rand(5, 1, 28, 28, generator=generator)
    saliency[torch.rand(saliency.shape, generator=generator) < 0.7] = 0
    masks = removal_masks(removal_order(saliency), (28, 28))
    assert (masks.sum((2, 3)) == torch.tensor([784 * p // 100 for p in ROAD_PERCENTAGES])).all()
    assert (masks[:, 1:] >= masks[:, :-1]).all()  # nested
    zeros = (saliency == 0)[:, 0]
    first_zero_gone = (masks & zeros[:, None]).flatten(2).float().argmax(2)
    assert (first_zero_gone[:, -1] == zeros.flatten(1).float().argmax(1)).all()  # ties go in reading order


def test_ties_and_zero_maps_are_told():
    maps = torch.tensor([[0.0, 0.0, 0.0, 0.0], [1.0, 2.0, 2.0, 3.0], [4.0, 1.0, 2.0, 3.0], [0.0, -0.0, 1.0, 1.0]])
    maps = maps.view(4, 1, 2, 2)
    assert zero_map(maps).tolist() == [True, False, False, False]
    assert tie_share(maps).tolist() == [1.0, 0.5, 0.0, 1.0]


@pytest.mark.parametrize("channels", [1, 3])
def test_curve_equals_quantus_without_noise(quantus, generator, channels):
    """130 images: more than one of Quantus' batches, RGB, and a signed map as from integrated gradients."""
    n, size = 130, 8
    weight, model = linear_model(channels, size, generator)
    x = torch.rand(n, channels, size, size, generator=generator, dtype=torch.float64)
    y, saliency = model(x).argmax(1), torch.randn(n, 1, size, size, generator=generator, dtype=torch.float64)
    levels = ROAD_PERCENTAGES[1::3]
    curve = road_curve(model, x, y, saliency, noise=None, percentages=levels, tolerance=1e-10)
    expected = quantus(
        "road",
        images=x.numpy(),
        labels=y.numpy(),
        attributions=saliency.numpy(),
        weight=weight.numpy(),
        bias=np.zeros(4),
        percentages=np.array(levels),
    )["correct"]
    assert curve.shape == (n, len(levels))
    assert 0.2 < curve.double().mean() < 0.9  # the comparison says something
    assert np.array_equal(curve.numpy(), expected.astype(bool))


@pytest.mark.parametrize("per_level", [False, True])
@pytest.mark.parametrize("noise_scale", [0.5, torch.tensor([0.1, 0.6, 1.0])])
def test_curve_equals_the_plain_loop_with_noise(generator, monkeypatch, per_level, noise_scale):
    size, levels = 6, (0, 20, 90)
    weight, model = linear_model(3, size, generator)
    x = torch.rand(7, 3, size, size, generator=generator, dtype=torch.float64)
    y, saliency = model(x).argmax(1), torch.randn(7, 1, size, size, generator=generator)
    noise = torch.randn(*((7, 3) if per_level else (7,)), 3, size, size, generator=generator, dtype=torch.float64)
    monkeypatch.setattr(road, "NUMBERS_AT_ONCE", 2 * 3 * x[0].numel())  # two images at a time
    seen = []
    curve = road_curve(
        lambda batch: seen.append(batch) or model(batch),
        x,
        y,
        saliency,
        noise=noise,
        noise_scale=noise_scale,
        percentages=levels,
        tolerance=1e-10,
    )
    seen = torch.cat(seen).view(7, 3, 3, size, size)
    for i in range(7):
        for k, p in enumerate(levels):
            gone = torch.zeros(size * size, dtype=torch.bool)
            gone[saliency[i].flatten().argsort(descending=True)[: size * size * p // 100]] = True
            gone = gone.view(1, size, size)
            picture = impute(x[i : i + 1], gone, tolerance=1e-10).images[0]
            draw = noise[i, k] if per_level else noise[i]
            scale = noise_scale if isinstance(noise_scale, float) else noise_scale.view(3, 1, 1).double()
            picture = torch.where(gone, picture + scale * draw, picture)
            assert torch.allclose(seen[i, k], picture, atol=1e-8)
            assert curve[i, k] == (model(picture[None]).argmax() == y[i])
    assert curve[:, 0].all()  # nothing removed


def test_an_images_curve_does_not_depend_on_its_batch(generator):
    _, model = linear_model(1, 12, generator)
    x, saliency = torch.rand(9, 1, 12, 12, generator=generator), torch.rand(9, 1, 12, 12, generator=generator)
    y, noise = model(x).argmax(1), torch.randn(9, 1, 12, 12, generator=generator)
    together = road_curve(model, x, y, saliency, noise=noise)
    apart = [
        road_curve(model, x[i : i + 1], y[i : i + 1], saliency[i : i + 1], noise=noise[i : i + 1]) for i in range(9)
    ]
    assert torch.equal(torch.cat(apart), together)


def test_forwards_are_bounded_and_take_no_gradients(generator, monkeypatch):
    sizes = []

    def model(batch):
        sizes.append(len(batch))
        assert not torch.is_grad_enabled()
        return batch.flatten(1)

    x = torch.rand(5, 1, 6, 6, generator=generator)
    monkeypatch.setattr(road, "NUMBERS_AT_ONCE", 2 * 20 * 36)  # two images at all levels
    road_curve(model, x, torch.zeros(5, dtype=torch.int64), x, noise=None)
    assert sizes == [40, 40, 20]


def test_removing_what_matters_first_hurts_more_than_last(generator):
    """Two blobs decide the class: their pixels first, and it is gone; last, and it stays."""
    size = 16
    x = torch.full((6, 1, size, size), 0.2)
    y = torch.arange(6) % 2
    x[y == 0, :, 3:6, 3:6] = 1
    x[y == 1, :, 10:13, 10:13] = 1

    def model(batch):
        return torch.stack([batch[:, 0, 3:6, 3:6].mean((1, 2)), batch[:, 0, 10:13, 10:13].mean((1, 2)) + 1e-3], 1)

    saliency = (x - 0.2) + 0.1 * torch.rand(x.shape, generator=generator)
    first = road_curve(model, x[y == 0], y[y == 0], saliency[y == 0], noise=None)
    last = road_curve(model, x[y == 0], y[y == 0], -saliency[y == 0], noise=None)
    assert first.double().mean() < 0.3
    assert last.double().mean() > 0.9


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"saliency": torch.full((2, 1, 4, 4), torch.nan)}, "image 0 .* NaN"),
        ({"saliency": torch.rand(2, 3, 4, 4)}, "saliency maps"),
        ({"y": torch.zeros(3, dtype=torch.int64)}, "labels"),
        ({"noise": torch.rand(2, 20, 4, 4)}, "noise must be"),
        ({"percentages": (50, 100)}, "less than 100 %"),
        ({"percentages": (-1,)}, "at least 0"),
    ],
)
def test_bad_input_is_named(change, words):
    arguments = {
        "x": torch.rand(2, 1, 4, 4),
        "y": torch.zeros(2, dtype=torch.int64),
        "saliency": torch.rand(2, 1, 4, 4),
        "noise": None,
    }
    with pytest.raises(BadInput, match=words):
        road_curve(lambda x: x.flatten(1), **(arguments | change))


def test_a_map_with_channels_is_refused():
    with pytest.raises(BadInput, match="Sum over the channels"):
        removal_order(torch.rand(2, 3, 4, 4))
