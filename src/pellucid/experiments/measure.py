"""Measure run directories on images that all of them classify correctly; results go into each run, image by image."""

import hashlib
import io
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from pellucid.attacks import ball
from pellucid.data.dataset import Dataset
from pellucid.errors import BadInput, unknown_name
from pellucid.experiments.manifest import code_hash
from pellucid.experiments.suite import (
    ALL_METRICS,
    DIFFROAD_LEVELS,
    HELD_OUT,
    LOADER_BATCH,
    METRICS,
    NOISE_LEVELS,
    ROAD_PERCENTAGES,
    ROS_DRAWS,
    Batch,
    Explainer,
    clean,
    explainer,
    images_per_batch,
    legacy,
)
from pellucid.experiments.train import load_run
from pellucid.files import read_json, write_atomic, write_json, write_json_lines
from pellucid.metrics.robustness import robust_accuracy
from pellucid.models.smoothing import SmoothBlock
from pellucid.randomness import generator
from pellucid.training.progress import Reporter, duration
from pellucid.training.step import to_device

MEASUREMENTS = "measurements"
EXAMPLES = 8
TRAINING_IMAGES = 2000
PROFILES = ("clean", "legacy", "both")


@dataclass(frozen=True)
class Robustness:
    """The evaluation PGD (definitions §4.5): true labels, eval mode, pixel space, clamp, random start, α = ε/4.

    `eps` None: the largest ε that any compared run was trained with, or the data set's usual one. `images` of the test
    images are attacked, drawn by the seed.
    """

    eps: float | None = None
    norm: Literal["linf", "l2"] = "linf"
    steps: int = 20
    restarts: int = 1
    images: int = 2000

    @property
    def radius(self) -> float:
        """ε, once it is decided."""
        assert self.eps is not None
        return self.eps


@dataclass(frozen=True)
class MeasureSettings:
    """What to measure.

    Attributes
    ----------
    images
        How many images, all of which every compared model classifies correctly.
    profile
        "clean", "legacy" or "both".
    attributions
        Which metrics to measure for each attribution; options as in a config.
    """

    images: int = 1000
    profile: Literal["clean", "legacy", "both"] = "clean"
    attributions: Mapping[str, Sequence[str]] = field(
        default_factory=lambda: {"gradient": METRICS, "integrated_gradients": METRICS}
    )
    robustness: Robustness = Robustness()
    seed: int = 0


def make_settings(
    *, images: int, profile: str, attributions: Sequence[str], metrics: Sequence[str], attack: dict[str, Any], seed: int
) -> MeasureSettings:
    """Settings from plain values, every name checked. Raises BadInput with the nearest valid name."""
    if profile not in PROFILES:
        raise unknown_name("profile", profile, PROFILES)
    for metric in metrics:
        if metric not in ALL_METRICS:
            raise unknown_name("metric", metric, ALL_METRICS)
    names = [explainer(name).name for name in attributions or ("gradient", "integrated_gradients")]
    chosen = tuple(metrics) or METRICS
    return MeasureSettings(images, profile, dict.fromkeys(names, chosen), Robustness(**attack), seed)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Loaded:
    """A trained run, ready to be measured."""

    directory: Path
    manifest: dict[str, Any]
    model: nn.Module
    train: Dataset
    test: Dataset
    trained_eps: float | None


def measure(directories: Sequence[Path], settings: MeasureSettings) -> dict[str, Any]:
    """Measure the runs on the same images and write ``measurements/`` into each.

    Runs whose measurement is already there, with the same settings, weights, images and code, are not measured again.

    Returns
    -------
    What was measured: the content of ``measurement.json`` without the time.

    Raises
    ------
    BadInput
        If a directory is no finished run, the runs' test images differ, or no image is classified correctly by all.
    """
    runs = [_loaded(directory) for directory in directories]
    test = runs[0].test
    for run in runs[1:]:
        if run.test.digest() != test.digest():
            raise BadInput(f"{runs[0].directory} and {run.directory} have different test images; compare them apart")
    robustness = settings.robustness
    if robustness.eps is None:
        robustness = replace(robustness, eps=_usual_eps(runs))
    predictions = {run.directory: _predictions(run.model, test) for run in runs}
    correct = torch.stack([predicted == test.labels for predicted in predictions.values()]).all(0)
    chosen = _choose(correct, settings)
    if len(chosen) == 0:
        raise BadInput("no test image is classified correctly by all compared runs; nothing can be measured")
    subset = test.subset(chosen)
    about = _about(settings, robustness, runs, correct, subset)
    for run in runs:
        _measure_run(run, subset, settings, robustness, about, predictions[run.directory])
    return about


def _loaded(directory: Path) -> Loaded:
    config, manifest, model, splits = load_run(directory)
    if torch.cuda.is_available() and config.training.device != "cpu":
        model = model.cuda()
    attack = config.training.robust_validation
    return Loaded(directory, manifest, model, splits.train, splits.test, attack.eps if attack else None)


def _usual_eps(runs: Sequence[Loaded]) -> float:
    trained = [run.trained_eps for run in runs if run.trained_eps is not None]
    if trained:
        return max(trained)
    # Definitions §1.3: 6.3/255 is what ε = 0.1 means in CIFAR-10's normalised units.
    usual = {"cifar10": 6.3 / 255, "imagenette": 4 / 255}
    return usual.get(runs[0].manifest["data"]["name"].replace("-", "_"), 0.1 if runs[0].test.channels == 1 else 4 / 255)


def _predictions(model: nn.Module, test: Dataset) -> Tensor:
    with torch.no_grad():
        batches = [
            model(to_device(test.batch(p), model)[0]).argmax(1).cpu() for p in torch.arange(len(test)).split(256)
        ]
    return torch.cat(batches)


def _choose(correct: Tensor, settings: MeasureSettings) -> Tensor:
    """Positions of `settings.images` images (fewer where there are fewer), drawn by the seed, in ascending order."""
    order = torch.randperm(len(correct), generator=generator(settings.seed, "measured images"))
    return order[correct[order]][: settings.images].sort().values


def _about(
    settings: MeasureSettings, robustness: Robustness, runs: Sequence[Loaded], correct: Tensor, subset: Dataset
) -> dict[str, Any]:
    ids = hashlib.sha256(json.dumps(subset.ids.tolist()).encode()).hexdigest()
    shown = asdict(robustness) | {"step_size": robustness.radius / 4, "images": min(robustness.images, len(correct))}
    return {
        "format": 1,
        "profile": settings.profile,
        "seed": settings.seed,
        "images": {
            "asked": settings.images,
            "measured": len(subset),
            "candidates": len(correct),
            "ids_sha256": ids,
            "compared": [run.directory.name for run in runs],
            "dropped": {"misclassified by at least one compared model": int((~correct).sum())},
        },
        "robustness": shown,
        "attributions": {
            name: {"metrics": list(metrics), **explainer(name).shown} for name, metrics in settings.attributions.items()
        },
        "legacy_space": legacy_space(runs[0].test),
        "ros_draws": ROS_DRAWS,
        "ssim_noise": list(NOISE_LEVELS),
        "road_percentages": list(ROAD_PERCENTAGES),
        "held_out": list(HELD_OUT),
        "diffroad_levels": list(DIFFROAD_LEVELS),
        "code_sha256": code_hash(),
    }


def _measure_run(
    run: Loaded,
    subset: Dataset,
    settings: MeasureSettings,
    robustness: Robustness,
    about: dict[str, Any],
    predicted: Tensor,
) -> None:
    target, name = run.directory / MEASUREMENTS, run.directory.name
    done = target / "measurement.json"
    identity = about | {"weights_sha256": run.manifest["weights"]["sha256"]}
    if done.exists() and _same(read_json(done), identity):
        Reporter(name, 0).say(f"{name}: already measured ({target})")
        return
    began = time.monotonic()
    done.unlink(missing_ok=True)  # it is written last: a measurement without it is not complete
    attack = robustness.images
    steps = min(attack, len(run.test)) + len(subset) * len(settings.attributions) * (
        2 if settings.profile == "both" else 1
    )
    with Reporter(f"measuring {name}", steps) as reporter:
        rows = _accuracy_rows(run, robustness, predicted, settings.seed, reporter.tick)
        write_json_lines(target / "accuracy.jsonl", rows)
        for attribution, metrics in settings.attributions.items():
            rows = _attribution_rows(run, subset, attribution, metrics, settings, reporter.tick)
            write_json_lines(target / f"{attribution}.jsonl", rows)
        write_atomic(target / "examples.npz", _examples(run, subset, settings))
    seconds = time.monotonic() - began
    write_json(done, identity | {"train_accuracy": _train_accuracy(run), "seconds": seconds})
    Reporter(name, 0).say(f"{name}: measured on {len(subset)} images in {duration(seconds)}")


def _same(before: dict[str, Any], now: dict[str, Any]) -> bool:
    found = {key: value for key, value in before.items() if key not in {"seconds", "train_accuracy"}}
    return bool(found == json.loads(json.dumps(now)))


def _train_accuracy(run: Loaded) -> float:
    """Share of the first training images classified correctly: less the test accuracy, the overfitting gap."""
    seen = run.train.subset(torch.arange(min(TRAINING_IMAGES, len(run.train))))
    return float((_predictions(run.model, seen) == seen.labels).float().mean())


def _accuracy_rows(
    run: Loaded, attack: Robustness, predicted: Tensor, seed: int, tick: Callable[[int], None]
) -> list[dict[str, Any]]:
    """One row a test image; `robust` is None for images beyond `attack.images` (drawn by the seed)."""
    test = run.test
    order = torch.randperm(len(test), generator=generator(seed, "attacked images"))
    robust: dict[int, bool] = {}
    for positions in order[: attack.images].sort().values.split(256):
        x, y = to_device(test.batch(positions), run.model)
        ids = test.ids[positions].tolist()
        held = robust_accuracy(
            run.model,
            x,
            y,
            ids=ids,
            region=ball(attack.norm, attack.radius),
            steps=attack.steps,
            restarts=attack.restarts,
            seed=seed,
        )
        robust |= dict(zip(positions.tolist(), held.tolist(), strict=True))
        tick(len(positions))
    return [
        {
            "id": int(test.ids[i]),
            "label": int(test.labels[i]),
            "predicted": int(predicted[i]),
            "correct": bool(predicted[i] == test.labels[i]),
            "robust": robust.get(i),
        }
        for i in range(len(test))
    ]


def _attribution_rows(
    run: Loaded,
    subset: Dataset,
    attribution: str,
    metrics: Sequence[str],
    settings: MeasureSettings,
    tick: Callable[[int], None],
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [
        {"id": int(i), "label": int(label)} for i, label in zip(subset.ids, subset.labels, strict=True)
    ]
    if settings.profile in {"clean", "both"}:
        size = images_per_batch(subset.batch([0])[0])
        for positions, batch in _batches(subset, run.model, explainer(attribution), size):
            _extend(rows, positions, clean(batch, metrics, settings.seed))
            tick(len(positions))
    if settings.profile in {"legacy", "both"}:
        network, normalise = in_legacy_space(run.model, run.test)
        for positions, batch in _batches(subset, run.model, legacy_explainer(attribution), LOADER_BATCH):
            behind = replace(batch, model=network, x=normalise(batch.x))
            _extend(rows, positions, legacy(behind, metrics, settings.seed))
            tick(len(positions))
    return rows


def legacy_explainer(name: str) -> Explainer:
    """The attribution as the published pipeline calls it: integrated gradients is Captum's 10-step trapezoid (§4.0)."""
    published = name.replace("-", "_") == "integrated_gradients"
    return explainer(name, {"steps": 10, "rule": "trapezoid_legacy"} if published else {})


def legacy_space(dataset: Dataset) -> str:
    """Where the published code works: it normalises CIFAR-10 and ImageNette in the loader, Fashion-MNIST not at all."""
    return "pixels" if dataset.name.startswith("fashion-mnist") else "normalised values"


def in_legacy_space(model: nn.Module, dataset: Dataset) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    """The model that the published code would see for this data set, and the way from pixels to its input."""
    network, normalise = getattr(model, "network", None), getattr(model, "normalise", None)
    if legacy_space(dataset) == "pixels" or not isinstance(network, nn.Module) or not isinstance(normalise, nn.Module):
        return model, lambda x: x
    return network, normalise


def _batches(subset: Dataset, model: nn.Module, explain: Explainer, size: int) -> Iterable[tuple[Tensor, Batch]]:
    mean_pixel = float(subset.images.double().mean() / 255)
    for positions in torch.arange(len(subset)).split(size):
        x, y = to_device(subset.batch(positions), model)
        maps = None if subset.attention is None else subset.attention_batch(positions).to(x)
        yield positions, Batch(model, x, y, subset.ids[positions].tolist(), explain, maps, mean_pixel)


def _extend(rows: list[dict[str, Any]], positions: Tensor, values: dict[str, Tensor]) -> None:
    for name, tensor in values.items():
        for position, value in zip(positions.tolist(), tensor.tolist(), strict=True):
            rows[position][name] = value


def _examples(run: Loaded, subset: Dataset, settings: MeasureSettings) -> bytes:
    """The pictures of a report: one image of each class, its maps, and one image's feature maps around the block."""
    first = [int((subset.labels == label).nonzero()[0]) for label in subset.labels.unique()][:EXAMPLES]
    x, y = to_device(subset.batch(first), run.model)
    arrays = {
        "ids": subset.ids[first].numpy(),
        "labels": subset.labels[first].numpy(),
        "images": x.float().cpu().numpy(),
    }
    for attribution in settings.attributions:
        maps = explainer(attribution)(run.model, x, y, arrays["ids"].tolist())
        arrays[f"map:{attribution}"] = maps.squeeze(1).float().cpu().numpy()
    arrays |= {f"features:{side}": maps for side, maps in _feature_maps(run.model, x[:1]).items()}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def _feature_maps(model: nn.Module, x: Tensor) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    blocks = [module for module in model.modules() if isinstance(module, SmoothBlock)]
    if not blocks:
        return seen

    def look(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        seen["before"], seen["after"] = (maps[0, :8].float().cpu().numpy() for maps in (inputs[0], output))

    handle = blocks[0].register_forward_hook(look)
    try:
        with torch.no_grad():
            model(x)
    finally:
        handle.remove()
    return seen
