"""The model card: a README for the hub, written from the manifest, the config and the measurements of a run."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import yaml

from pellucid.files import finite


@dataclass(frozen=True)
class Result:
    """One number of a run with its 95 % interval over images, in `unit`; NaN where there is none.

    `n` images entered it and `dropped` were undefined; `direction` is "↑", "↓" or "".
    """

    key: str
    group: str
    label: str
    value: float
    low: float = math.nan
    high: float = math.nan
    n: int | None = None
    dropped: int = 0
    unit: str = ""
    direction: str = ""
    aggregate: str = ""


@dataclass(frozen=True)
class Measured:
    """The numbers of a run, notes on how they were taken, what each kind of number cannot say, and the attack."""

    results: tuple[Result, ...] = ()
    notes: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    attack: Mapping[str, Any] | None = None

    def as_plain(self) -> dict[str, Any]:
        """For JSON."""
        plain: dict[str, Any] = finite({"format": 1} | asdict(self))
        return plain


@dataclass(frozen=True)
class Card:
    """What a model card tells of a run. `source` is what ``pull`` takes: a repository, or the folder."""

    source: str
    manifest: Mapping[str, Any]
    config: Mapping[str, Any]
    measured: Measured
    licence: str
    own_code: bool = False


LOAD = """\
from pellucid.attributions import gradient
from pellucid.integrations.hub import pull

model = pull("{source}"{own_code})  # images [B, {image}] with pixels in [0, 1]
classes = model(images).argmax(1)
maps = gradient(model, images, classes).sum(1)  # the saliency of every pixel
"""


def model_card(card: Card) -> str:
    """README.md with its YAML header, in the form of the Hugging Face hub."""
    header = yaml.safe_dump(_header(card), sort_keys=False, allow_unicode=True)
    data, model = card.manifest["data"], card.manifest["model"]
    image = "×".join(str(side) for side in data["image"])
    sections = [
        f"---\n{header}---",
        f"# {_title(card)}",
        f"A {model['name']} with {model['parameters']:,} parameters that classifies {image} images of {data['name']} "
        f"into {len(data['classes'])} classes ({', '.join(data['classes'])}), trained with Pellucid, which measures "
        "how well input gradients serve as explanations. Normalisation is its first layer: it takes pixels in [0, 1].",
        "## How to load it\n\n```python\n" + _load(card, ", ".join(map(str, data["image"]))) + "```",
        "## How it was trained\n\n" + "\n".join(f"- {line}" for line in _training(card)),
        "## Results\n\n" + _results(card.measured),
        "## Limits\n\n" + "\n".join(f"- {line}" for line in _limits(card)),
    ]
    return "\n\n".join(sections) + "\n"


def _title(card: Card) -> str:
    arm = f", arm {card.config['arm']}" if card.config.get("arm") else ""
    return f"{card.manifest['model']['name']} on {card.manifest['data']['name']}{arm}"


def _load(card: Card, image: str) -> str:
    return LOAD.format(source=card.source, image=image, own_code=", own_code=True" if card.own_code else "")


def _header(card: Card) -> dict[str, Any]:
    data = card.manifest["data"]["name"]
    dataset = {"name": data, "type": data}
    defined = [result for result in card.measured.results if math.isfinite(result.value)]
    metrics = [
        {
            "type": "accuracy" if result.key == "natural_accuracy" else result.key,
            "name": f"{result.label} ({result.group})",
            "value": float(f"{result.value:.6g}"),
        }
        for result in defined
    ]
    entry = {"task": {"type": "image-classification"}, "dataset": dataset, "metrics": metrics}
    index = {"model-index": [{"name": card.source.rpartition("/")[2], "results": [entry]}]} if metrics else {}
    return {
        "license": card.licence,
        "library_name": "pellucid",
        "pipeline_tag": "image-classification",
        "tags": ["pellucid", "explainability", "saliency", _plain(card.config["objective"])["name"]],
        "metrics": ["accuracy"],
    } | index


def _training(card: Card) -> list[str]:
    manifest, config = card.manifest, card.config
    data, cost, weights, training = manifest["data"], manifest["cost"], manifest["weights"], config["training"]
    smoothing, start = manifest["model"].get("smoothing"), manifest["model"].get("started_from")
    return [
        f"Objective: {_spelt(config['objective'])}.",
        *(f"Regulariser: {_spelt(term)}." for term in config.get("regularisers") or []),
        f"SmoothBlock: {smoothing['filter']}." if smoothing else "No SmoothBlock.",
        *([f"Started from {start['path']}, its last layer {start['head']}."] if start else []),
        f"Data: {data['train']:,} training, {data['validation']:,} validation and {data['test']:,} test images; "
        f"SHA-256 of the training images {data['train_sha256']}.",
        f"{training['epochs']} epochs in batches of {training['batch_size']}, {_spelt(training['optimizer'])}, seed "
        f"{manifest['seed']}; the weights of epoch {weights['epoch']}, chosen by {weights['chosen_by']}.",
        f"{cost['seconds']:,.0f} seconds on {manifest['hardware']['name']} ({manifest['hardware']['device']}).",
        f"Versions: {', '.join(f'{name} {version}' for name, version in manifest['versions'].items())}.",
        f"SHA-256 of the weights {weights['sha256']}, of Pellucid's code {manifest['code_sha256']}.",
    ]


def _results(measured: Measured) -> str:
    if not measured.results:
        return "This run was exported without measurements."
    lines = ["| maps | number | value | 95 % interval | images | undefined |", "| --- | --- | --- | --- | --- | --- |"]
    for result in measured.results:
        unit = f" {result.unit}" if result.unit else ""
        value = f"{_number(result.value)}{unit} {result.direction}".strip()
        ends = f"{_number(result.low)} … {_number(result.high)}" if math.isfinite(result.low + result.high) else "–"
        images = "–" if result.n is None else f"{result.n:,}"
        how = "" if result.aggregate in {"", "mean over images"} else f" ({result.aggregate})"
        lines.append(f"| {result.group} | {result.label}{how} | {value} | {ends} | {images} | {result.dropped} |")
    arrows = "↑ higher is better, ↓ lower is better. The intervals say how a number varies over images."
    return "\n".join(lines) + "\n\n" + " ".join([arrows, *measured.notes])


def _limits(card: Card) -> list[str]:
    attack = card.measured.attack
    lines = [
        "One training run: another seed gives other numbers and, more so, other maps.",
        f"Images unlike those of {card.manifest['data']['name']} were not measured; each gets one of these classes.",
        "A saliency map says to which pixels the logit is sensitive. It does not say why, and no map proves that a "
        "prediction is right.",
    ]
    if attack:
        lines.append(
            f"Robust accuracy is that against PGD ({attack['norm']}, ε = {attack['eps']:.4g} in pixel units, "
            f"{attack['steps']} steps, {attack['restarts']} restarts)."
        )
    return [*lines, *card.measured.limits]


def _spelt(named: Any) -> str:
    """A name and its options in one line."""
    options = {key: value for key, value in _plain(named).items() if key != "name" and value is not None}
    listed = ", ".join(f"{key} {value}" for key, value in options.items())
    return f"{_plain(named)['name']} ({listed})" if listed else str(_plain(named)["name"])


def _plain(named: Any) -> dict[str, Any]:
    return {"name": named} if isinstance(named, str) else dict(named)


def _number(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else "undefined"
