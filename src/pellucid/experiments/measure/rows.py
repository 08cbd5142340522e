"""The rows of a run's measurement: one a test image for the accuracies, one a measured image for each attribution."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import nan

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from pellucid.attacks import ball
from pellucid.attributions.weighted import CHUNK
from pellucid.data.dataset import Dataset
from pellucid.experiments.measure.notebook import Notebook, Row
from pellucid.experiments.measure.runs import Loaded
from pellucid.experiments.measure.settings import SANITY, MeasureSettings, Robustness
from pellucid.experiments.suite import LOADER_BATCH, Batch, Explainer, clean, explainer, images_per_unit, legacy
from pellucid.experiments.suite.evidence import COMPARED, EVIDENCE
from pellucid.memory_format import fast_memory_format
from pellucid.metrics.robustness import robust_accuracy
from pellucid.metrics.stability.outlier_dependence import outlier_dependence
from pellucid.randomness import generator
from pellucid.training.step import to_device

ATTACKED_AT_ONCE = 256


def accuracy_rows(
    run: Loaded,
    attack: Robustness,
    predicted: Tensor,
    *,
    seed: int,
    chunk: int,
    notes: Notebook,
    tick: Callable[[int], None],
) -> list[Row]:
    """One row a test image; `robust` is None for images beyond `attack.images` (drawn by the seed)."""
    test = run.test
    order = torch.randperm(len(test), generator=generator(seed, "attacked images"))

    def held(positions: Tensor) -> dict[str, Tensor]:
        x, y = to_device(test.batch(positions), run.model)
        region, ids = ball(attack.norm, attack.radius), test.ids[positions].tolist()
        options = {"steps": attack.steps, "restarts": attack.restarts, "seed": seed}
        return {"robust": robust_accuracy(run.model, x, y, ids=ids, region=region, **options)}

    batches = order[: attack.images].sort().values.split(min(chunk, ATTACKED_AT_ONCE))
    robust = {position: row["robust"] for position, row in notes.over("robust", batches, held, tick).items()}
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


@dataclass(frozen=True)
class Study:
    """One attribution of one run on the measured images, and the runs that its maps are compared with.

    `chunk` images go through a model at once, at most.
    """

    run: Loaded
    images: Dataset
    attribution: str
    metrics: Sequence[str]
    settings: MeasureSettings
    twins: Mapping[str, Loaded] = field(default_factory=dict)
    chunk: int = CHUNK

    @property
    def passes(self) -> int:
        """How often the images are gone through: once a profile."""
        return len(self._parts())

    def rows(self, notes: Notebook, tick: Callable[[int], None], count: int) -> list[Row]:
        """One row an image, of the first `count` images, in their order."""
        ids, labels = self.images.ids[:count].tolist(), self.images.labels[:count].tolist()
        rows: list[Row] = [{"id": i, "label": label} for i, label in zip(ids, labels, strict=True)]
        for part in self._parts():
            for position, row in self.measured(part, range(count), notes, tick).items():
                rows[position] |= row
        columns = dict.fromkeys(name for row in rows for name in row)  # an attack is made on some images only
        return [{name: row.get(name) for name in columns} for row in rows]

    def measured(self, part: str, positions: range, notes: Notebook, tick: Callable[[int], None]) -> dict[int, Row]:
        """What a profile measures of the images at `positions`, which begin where a unit does."""
        size, measure = self._parts()[part]
        x, _ = to_device(self.images.batch([0]), self.run.model)
        models = [self.run.model, *(twin.model for twin in self.twins.values())]
        with ExitStack() as layouts:  # the maps of all are compared, so they are made in the same way
            for model in models:
                layouts.enter_context(fast_memory_format(model, x))
            return notes.over(part, torch.tensor(positions).split(size), measure, tick)

    def _parts(self) -> dict[str, tuple[int, Callable[[Tensor], dict[str, Tensor]]]]:
        """What is measured of a batch of which size, for each profile."""
        parts: dict[str, tuple[int, Callable[[Tensor], dict[str, Tensor]]]] = {}
        if self.settings.profile in {"clean", "both"}:
            parts["clean"] = images_per_unit(self.images.batch([0])[0]), self._clean
        if self.settings.profile in {"legacy", "both"} and self.attribution not in SANITY:
            parts["legacy"] = LOADER_BATCH, self._legacy
        return parts

    def _clean(self, positions: Tensor) -> dict[str, Tensor]:
        batch = self._batch(positions, explainer(self.attribution))
        row = clean(batch, [metric for metric in self.metrics if metric != "interpretation"], self.settings.seed)
        if "interpretation" in self.metrics:
            row |= self._attacked(positions, batch.explain)
        if "other_seed" in self.twins and "ssim" in self.metrics:
            other = replace(batch, model=self.twins["other_seed"].model).saliency
            row |= {f"other_seed_{name}": compare(batch.saliency, other) for name, compare in COMPARED.items()}
        if "ssim" in self.metrics:
            other = self._other_maps(positions, batch)
            row |= {f"other_image_{name}": compare(batch.saliency, other) for name, compare in COMPARED.items()}
        if "noiseless" in self.twins and self.attribution == "gradient":
            twin = self.twins["noiseless"].model
            found = [outlier_dependence(batch.model, twin, part.x) for part in batch.split(1)]
            row["outlier_dependence"] = torch.cat(found)
        return row

    def _other_maps(self, positions: Tensor, batch: Batch) -> Tensor:
        """For each image the map of the next one of another class [B, 1, H, W], NaN if all images are of one class."""
        wanted = self._of_another_class[positions]
        missing = wanted[~torch.isin(wanted, positions)].unique()
        maps = batch.saliency
        if len(missing):
            maps = torch.cat([maps, self._batch(missing, batch.explain).saliency])
        place = {position: row for row, position in enumerate(torch.cat([positions, missing]).tolist())}
        other = maps[[place[position] for position in wanted.tolist()]]
        same_class = (self.images.labels[wanted] == self.images.labels[positions]).to(maps.device)
        return other.masked_fill(same_class[:, None, None, None], nan)

    def _attacked(self, positions: Tensor, explain: Explainer) -> dict[str, Tensor]:
        """The attacks on the interpretation, on the first images only; NaN for those after them."""
        inside = positions[positions < self.settings.interpretation_images]
        if len(inside) == 0:
            return {}
        found = EVIDENCE["interpretation"](self._batch(inside, explain), self.settings.seed)
        return {name: pad(values, (0, len(positions) - len(inside)), value=nan) for name, values in found.items()}

    def _legacy(self, positions: Tensor) -> dict[str, Tensor]:
        network, normalise = in_legacy_space(self.run.model, self.run.test)
        batch = self._batch(positions, legacy_explainer(self.attribution))
        return legacy(replace(batch, model=network, x=normalise(batch.x)), self.metrics, self.settings.seed)

    def _batch(self, positions: Tensor, explain: Explainer) -> Batch:
        images = self.images
        x, y = to_device(images.batch(positions), self.run.model)
        maps = None if images.attention is None else images.attention_batch(positions).to(x)
        ids = images.ids[positions].tolist()
        return Batch(self.run.model, x, y, ids, explain, maps, self._mean_pixel, self.chunk)

    @cached_property
    def _of_another_class(self) -> Tensor:
        return next_of_another_class(self.images.labels)

    @cached_property
    def _mean_pixel(self) -> float:
        """Mean of all pixels of the training images, in [0, 1]: it does not depend on which images are measured."""
        images = self.run.train.images
        return int(images.sum(dtype=torch.int64)) / images.numel() / 255


def next_of_another_class(labels: Tensor) -> Tensor:
    """For each of N images the place of the first one after it, around the end, with another label; int64 [N].

    Where all labels are the same, so is that of the place found.
    """
    classes = labels.tolist()
    found = list(range(len(classes)))
    for i in range(2 * len(classes) - 2, -1, -1):  # from behind: the next one either differs or knows who does
        here, after = i % len(classes), (i + 1) % len(classes)
        found[here] = after if classes[after] != classes[here] else found[after]
    return torch.tensor(found)


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
