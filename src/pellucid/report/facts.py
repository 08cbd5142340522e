"""How the runs were trained and measured, and where they came from: plain facts, one value a run."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pellucid.report.reading import lookup
from pellucid.report.runs import Run
from pellucid.report.words import DASH, attribution_name, number


@dataclass(frozen=True)
class Fact:
    """A label and one text a run. `code` texts are hashes and the like."""

    label: str
    values: tuple[str, ...]
    code: bool = False

    @property
    def common(self) -> bool:
        """Whether all runs agree."""
        return len(set(self.values)) == 1


def measurement_facts(runs: Sequence[Run]) -> list[Fact]:
    """Attack, images, attributions, noise levels and seeds of the measurement."""
    sources: dict[str, Callable[[Run], str]] = {
        "Data": _data,
        "Model": _model,
        "Robust accuracy": _attack,
        "Images of the map metrics": _images,
        "Attributions": _attributions,
        "Noise of SSIM, Spearman and cosine": lambda run: _values(run.measurement.get("ssim_noise"), "σ = "),
        "Pixels removed by ROAD": lambda run: _values(run.measurement.get("road_percentages"), "", " %"),
        "Draws of ROS": lambda run: _options(run.measurement.get("ros_draws")).replace("ros_", "ROS-"),
        "Legacy definitions applied to": lambda run: _text(run.measurement.get("legacy_space")),
        "Profile": lambda run: _text(run.measurement.get("profile")),
        "Seed of the training": lambda run: str(run.seed),
        "Seed of the measurement": lambda run: _text(run.measurement.get("seed")),
        "Time of the measurement": lambda run: _seconds(run.measurement.get("seconds")),
    }
    return _facts(runs, sources)


def provenance_facts(runs: Sequence[Run]) -> list[Fact]:
    """Folders, hashes, versions and hardware."""
    sources: dict[str, Callable[[Run], str]] = {
        "Folder": lambda run: run.folder,
        "Created": lambda run: _text(run.manifest.get("created")),
        "Kept epoch": _kept,
        "Hardware": lambda run: _options(run.manifest.get("hardware")),
        "Versions": lambda run: _options(run.manifest.get("versions")),
    }
    hashes = {
        "Weights (SHA-256)": "weights.sha256",
        "Code (SHA-256)": "code_sha256",
        "Training data (SHA-256)": "data.train_sha256",
        "Test data (SHA-256)": "data.test_sha256",
    }
    coded = [
        Fact(label, tuple(_text(lookup(run.manifest, key)) for run in runs), True) for label, key in hashes.items()
    ]
    images = tuple(_text(lookup(run.measurement, "images.ids_sha256")) for run in runs)
    return [*_facts(runs, sources), *coded, Fact("Measured images (SHA-256 of ids)", images, True)]


_OFF = dict.fromkeys(("null", "[]", "{}", "0", "0.0", "false"), DASH)


def config_differences(runs: Sequence[Run]) -> list[Fact]:
    """Every dotted config key in which the runs differ; what is off is no different from what is not there."""
    flat = [_flat(run.config) for run in runs]
    keys = dict.fromkeys(key for config in flat for key in config)
    sections = {key[:end] for key in keys for end, mark in enumerate(key) if mark == "."}
    keys = dict.fromkeys(key for key in keys if key not in sections)  # an absent section shows in its keys
    facts = [Fact(key, tuple(config.get(key, DASH) for config in flat), code=True) for key in keys]
    return [fact for fact in facts if len({_OFF.get(value, value) for value in fact.values}) > 1]


def recipe(config: Mapping[str, Any]) -> dict[str, str]:
    """What a config asks for beside its seed and where files lie (their hashes stay), by dotted keys.

    What is off is left out: runs of older versions lack the keys of what there was not yet.
    """
    return {key: value for key, value in _flat(config).items() if key not in _ELSEWHERE and value not in _OFF}


_ELSEWHERE = {"seed", "data.root", "data.download", "model.weights"}


def _facts(runs: Sequence[Run], sources: Mapping[str, Callable[[Run], str]]) -> list[Fact]:
    facts = [Fact(label, tuple(source(run) for run in runs)) for label, source in sources.items()]
    return [fact for fact in facts if set(fact.values) != {DASH}]


def _text(value: Any) -> str:
    return DASH if value is None else str(value)


def _seconds(value: Any) -> str:
    return f"{number(float(value), None)} s" if isinstance(value, int | float) else DASH


def _options(value: Any) -> str:
    """`eps 0.1, steps 7`."""
    if not isinstance(value, Mapping) or not value:
        return DASH
    texts = {key: ", ".join(map(str, item)) if isinstance(item, list) else str(item) for key, item in value.items()}
    between = "; " if any(isinstance(item, list) for item in value.values()) else ", "
    return between.join(f"{key} {text}" for key, text in texts.items())


def _values(value: Any, before: str, after: str = "") -> str:
    if not isinstance(value, list) or not value:
        return DASH
    return before + ", ".join(f"{item:g}" if isinstance(item, int | float) else str(item) for item in value) + after


def _data(run: Run) -> str:
    data = run.manifest["data"]
    sizes = ", ".join(f"{data[split]:,} {split}" for split in ("train", "validation", "test") if split in data)
    shape = " × ".join(map(str, data.get("image") or []))
    return f"{data['name']}: {sizes} images{f' of {shape}' if shape else ''}, {len(data['classes'])} classes"


def _model(run: Run) -> str:
    after = f" after {run.layer}" if run.layer else ""
    return f"{lookup(run.manifest, 'model.name')}: {run.meaning}{after}"


def _attack(run: Run) -> str:
    attack = dict(run.measurement["robustness"])
    images = attack.pop("images", None)
    return f"PGD: {_options(_renamed(attack))}" + (f"; {images:,} test images" if isinstance(images, int) else "")


def _renamed(attack: Mapping[str, Any]) -> dict[str, Any]:
    """The attack's parameters as the literature writes them; ε and the step are in pixel units."""
    spelling = {"eps": "ε", "step_size": "step size", "linf": "L∞", "l2": "L2"}
    return {spelling.get(key, key): spelling.get(value, value) for key, value in attack.items()}


def _images(run: Run) -> str:
    images = run.measurement["images"]
    dropped = "; ".join(f"{number_of} {why}" for why, number_of in images["dropped"].items()) or "none"
    counts = [f"{images[key]:,} {text}" for key, text in _COUNTS.items()]
    return f"{', '.join(counts)}; dropped: {dropped}"


_COUNTS = {"measured": "measured", "asked": "asked for", "candidates": "candidates"}


def _attributions(run: Run) -> str:
    named = []
    for name, options in run.measurement["attributions"].items():
        spelled = _options(options)
        named.append(attribution_name(name) + ("" if spelled == DASH else f" ({spelled})"))
    return "; ".join(named) or DASH


def _kept(run: Run) -> str:
    weights = run.manifest["weights"]
    epoch, why = weights.get("epoch"), weights.get("chosen_by")
    return _text(epoch) + (f", chosen by {why}" if why else "")


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """`{"objective.eps": "0.1"}`; an absent section is `null` under its own name."""
    flat: dict[str, str] = {}
    for key, item in value.items():
        if isinstance(item, Mapping):
            flat |= _flat(item, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = json.dumps(item, ensure_ascii=False, default=str).strip('"')
    return flat
