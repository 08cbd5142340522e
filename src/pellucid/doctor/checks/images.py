"""What the images themselves say."""

from collections import defaultdict
from hashlib import blake2b

import torch
from torch import Tensor

from pellucid.doctor.case import Case
from pellucid.doctor.findings import NotApplicable, Seen, check, ok, problem, warning
from pellucid.doctor.samples import Sample

FEW, MANY = 0.001, 0.01
"""Shares of images that move an accuracy by less than a reported digit, and by a whole point or more."""


@check(
    why="ε, noise and clipping are in pixel units: outside [0, 1] they mean something else than is reported.",
    mend="Give pixels in [0, 1] (divide bytes by 255 once) and put any normalisation into the model's first layer.",
)
def pixel_range(case: Case) -> Seen:
    """Pixels in [0, 1], or bytes 0 … 255."""
    for sample in _splits(case):
        x = sample.images
        low, high = (float(bound) for bound in torch.aminmax(x[torch.isfinite(x)] if x.is_floating_point() else x))
        seen = f"{sample.split} pixels run from {low:.4g} to {high:.4g}"
        if x.is_floating_point() and (low < -1e-6 or high > 1 + 1e-6):
            return problem(f"{seen} instead of 0 to 1")
        if x.dtype not in (torch.uint8,) and not x.is_floating_point():
            return problem(f"{sample.split} images are {x.dtype}; only bytes (uint8) and floating point have a scale")
        if high * (1 if x.is_floating_point() else 1 / 255) <= 2 / 255:
            return problem(f"{seen}: nearly black, as if divided by 255 once too often")
    return ok(f"{seen}{'' if sample.images.is_floating_point() else ' (bytes)'}")


@check(
    why="A model that normalises would do it a second time, and ε would be in units of a standard deviation.",
    mend="Take the normalisation out of the data and make it the model's first layer: pellucid.models.normalised.",
)
def normalised_data(case: Case) -> Seen:
    """Data that were normalised already."""
    x = case.train.spread(512)
    mean, std = x.mean((0, 2, 3)), x.std((0, 2, 3))
    seen = f"channel means {_numbers(mean)}, standard deviations {_numbers(std)}"
    negative = float((x < 0).float().mean())
    if negative > 0.05 and float(mean.abs().max()) < 1 and 0.3 < float(std.mean()) < 3:
        return problem(f"{negative:.0%} of the pixels are negative, {seen}: the data are already normalised")
    return ok(f"{seen}, {negative:.0%} of the pixels negative")


@check(
    why="One NaN makes every mean that it enters NaN, and a loss that has seen it never recovers.",
    mend="Find the images with x.isfinite().flatten(1).all(1) and leave them out, or mend their decoding.",
)
def finite_pixels(case: Case) -> Seen:
    """NaN or infinite pixels."""
    for sample in _splits(case):
        if sample.images.is_floating_point():
            bad = int((~sample.images.isfinite()).flatten(1).any(1).sum())
            if bad:
                return problem(f"{bad} of {len(sample)} {sample.split} images have NaN or infinite pixels")
    return ok("all pixels are finite")


@check(
    why="An image of one value has nothing to explain: its maps are those of the network's biases.",
    mend="Look at these images; they are often files that could not be decoded. Leave them out.",
)
def constant_images(case: Case) -> Seen:
    """Images in which all pixels are equal."""
    worst = ok(f"no image of {sum(len(s) for s in _splits(case))} is constant")
    for sample in _splits(case):
        flat = sample.images.flatten(2)
        same = (flat.amax(2) == flat.amin(2)).all(1)
        count = int(same.sum())
        if count:
            first = int(same.nonzero()[0])
            words = f"{count} of {len(sample)} {sample.split} images have one value a channel (the first is {first})"
            worst = _by_share(count / len(sample), words)
    return worst


@check(
    why="A model may remember what it was trained on: accuracy, and every test of faithfulness, is then flattered.",
    mend="Remove from the training images those that are in the test images, and train again.",
)
def duplicates_between_splits(case: Case) -> Seen:
    """Test images that are training images, byte for byte."""
    _require_test(case)
    known = set(_hashes(case.train))
    count = sum(key in known for key in _hashes(case.test))
    words = f"{count} of {len(case.test)} test images are training images, byte for byte"
    return _by_share(count / len(case.test), words)


@check(
    why="Copies that were resized or saved again leak as much as exact ones, and no hash of the files shows them.",
    mend="Look at the pairs; split by source (patient, video, product) rather than by image.",
)
def near_duplicates_between_splits(case: Case) -> Seen:
    """Test images that differ from a training image by less than compression does."""
    _require_test(case)
    pairs = _near_pairs(case.train, case.test)
    exact = set(_hashes(case.train))
    keys = _hashes(case.test)
    near = [(test, train) for test, train in pairs if keys[test] not in exact]
    example = f", as test {near[0][0]} and training {near[0][1]}" if near else ""
    words = f"{len(near)} of {len(case.test)} test images are nearly a training image{example}"
    return _by_share(len(near) / len(case.test), words)


@check(
    why="Equal images with different labels cannot both be right: accuracy has a ceiling, and the loss a floor.",
    mend="Compare the labels of these images and keep one of each.",
)
def conflicting_labels(case: Case) -> Seen:
    """Equal training images with different labels."""
    labels = defaultdict(set)
    keys = _hashes(case.train)
    for key, label in zip(keys, case.train.labels.tolist(), strict=True):
        labels[key].add(label)
    count = sum(len(labels[key]) > 1 for key in keys)
    return _by_share(count / len(keys), f"{count} of {len(keys)} training images have an equal one with another label")


@check(
    why="A model sees test images as it never saw training images: accuracy falls for a reason that no map shows.",
    mend="Prepare both splits by the same code.",
)
def splits_alike(case: Case) -> Seen:
    """Training and test images with different statistics."""
    _require_test(case)
    train, test = (sample.spread(1024) for sample in (case.train, case.test))
    if train.shape[1:] != test.shape[1:]:
        shapes = f"{list(train.shape[1:])} and {list(test.shape[1:])}"
        return problem(f"training and test images have shapes {shapes}")
    means, stds = (train.mean((0, 2, 3)), test.mean((0, 2, 3))), (train.std((0, 2, 3)), test.std((0, 2, 3)))
    shift = float(((means[0] - means[1]).abs() / stds[0].clamp_min(1e-6)).max())
    ratio = float((stds[1] / stds[0].clamp_min(1e-6)).log().abs().max().exp())
    seen = f"test means lie {shift:.2g} training standard deviations off, spreads differ {ratio:.2g}-fold"
    return warning(seen) if shift > 0.5 or ratio > 2 else ok(seen)


def _splits(case: Case) -> list[Sample]:
    return [case.train, case.test] if case.has_test else [case.train]


def _require_test(case: Case) -> None:
    if not case.has_test:
        raise NotApplicable("only one split was given")


def _by_share(share: float, words: str) -> Seen:
    if share < FEW:
        return ok(words)
    return problem(words) if share >= MANY else warning(words)


def _hashes(sample: Sample) -> list[bytes]:
    images = sample.images.contiguous().cpu()
    if images.dtype == torch.bfloat16:
        images = images.float()
    return [blake2b(image.data, digest_size=16).digest() for image in images.numpy()]


def _near_pairs(train: Sample, test: Sample) -> list[tuple[int, int]]:
    """Pairs (test, train) with equal coarse signs, and a mean difference below 2 bytes and a tenth of the contrast.

    Thumbnails average noise away, so what looks alike there must be alike pixel by pixel, too: three times as close.
    """
    by_code: dict[bytes, list[int]] = defaultdict(list)
    small_train, small_test = _thumbnails(train), _thumbnails(test)
    if small_train.shape[1] != small_test.shape[1]:
        return []
    for position, code in enumerate(_codes(small_train)):
        by_code[code].append(position)
    found = []
    for position, code in enumerate(_codes(small_test)):
        near = by_code.get(code, [])[:64]
        if near:
            difference = (small_train[near] - small_test[position]).abs().mean(1)
            best = int(difference.argmin())
            allowed = min(2 / 255, 0.1 * float(small_test[position].std()))
            if float(difference[best]) < allowed and _apart(train, near[best], test, position) < 3 * allowed:
                found.append((position, near[best]))
    return found


def _apart(train: Sample, first: int, test: Sample, second: int) -> float:
    """Mean difference of two images' pixels, in the range [0, 1]; infinite if they are not of one size."""
    one, other = train.batch(torch.tensor([first])), test.batch(torch.tensor([second]))
    if one.shape != other.shape:
        return float("inf")
    scale = 1 if max(float(one.abs().max()), float(other.abs().max())) <= 1.5 else 255
    return float((one - other).abs().mean()) / scale


def _thumbnails(sample: Sample) -> Tensor:
    """Grey thumbnails of 8 × 8 pixels, [N, 64], scaled to the range of the split."""
    parts = [sample.batch(torch.arange(start, min(start + 512, len(sample)))) for start in range(0, len(sample), 512)]
    small = torch.cat([torch.nn.functional.adaptive_avg_pool2d(p.mean(1, keepdim=True), 8).flatten(1) for p in parts])
    return small / (1 if float(small.abs().max()) <= 1.5 else 255)


def _codes(thumbnails: Tensor) -> list[bytes]:
    """Which quarter of the image is brighter than its mean, and which row than the one above: 16 robust bits."""
    blocks = thumbnails.view(-1, 4, 2, 4, 2).mean((2, 4)).flatten(1)
    signs = (blocks > thumbnails.mean(1, keepdim=True)).byte().numpy()
    return [row.tobytes() for row in signs]


def _numbers(values: Tensor) -> str:
    return ", ".join(f"{value:.3g}" for value in values.tolist())
