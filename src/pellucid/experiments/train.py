"""One run: a config becomes a run directory; the same call again goes on where it stopped."""

from pathlib import Path
from typing import Any

import yaml
from torch import nn

from pellucid.errors import BadInput
from pellucid.experiments.build import Splits, build_model, build_objective, load_splits, start_model
from pellucid.experiments.config import ModelConfig, RunConfig, check, plain
from pellucid.experiments.manifest import CONFIG, MANIFEST, describe, finished, of_snapshot
from pellucid.experiments.start import ARCHITECTURE, config_of, remembered
from pellucid.experiments.trade_off import map_measure
from pellucid.files import file_hash, read_json, write_atomic, write_json, write_json_lines
from pellucid.training.checkpoint import load, load_weights
from pellucid.training.estimate import Estimate, estimate
from pellucid.training.fit import CHECKPOINT, HISTORY, WEIGHTS, fit, is_main_process
from pellucid.training.progress import Reporter
from pellucid.training.snapshots import snapshot_epochs, snapshot_folder
from pellucid.training.step import Batches
from pellucid.training.validate import Validation


def train(config: RunConfig, directory: Path, *, title: str | None = None) -> dict[str, Any]:
    """Train the run of `config` in `directory`, or finish it, or say that it is finished.

    Returns
    -------
    The manifest.

    Raises
    ------
    BadInput
        If `directory` holds a run of another config; the keys that differ are named.
    RunFailed
        If training fails; the directory then holds the last good checkpoint.
    """
    title = title or directory.name
    say = Reporter(title, 0, quiet=not is_main_process()).say
    check_folder(config, directory)
    manifest = read_json(directory / MANIFEST) if (directory / MANIFEST).exists() else None
    if manifest and manifest["status"] == "finished":
        say(f"{title}: already trained ({directory})")
        return dict(manifest)
    splits = load_splits(config)
    begun = (directory / CHECKPOINT).exists()  # it holds all weights: what the run started from may be gone
    model, origin = start_model(standing_alone(config, directory) if begun else config, splits.train)
    objective = build_objective(config)
    if manifest is None:
        _check_start(config, origin)
        say(f"{title}: {_described(origin)}") if origin else None
        expected = _estimate(config, splits, model)
        say(f"{title}: {expected}")
        manifest = describe(config, splits, model, expected, origin)
        if is_main_process():
            text = yaml.safe_dump(plain(config), sort_keys=False, allow_unicode=True)
            write_atomic(directory / CONFIG, text)
            write_json(directory / MANIFEST, manifest)
            _note_architecture(config, model, directory)
    if is_main_process():
        remove_leftovers(directory)
    state = fit(
        model,
        objective,
        splits.train,
        Validation(splits.validation, map_measure(config.seed)),
        settings=config.training,
        seed=config.seed,
        directory=directory,
        title=title,
    )
    manifest = finished(manifest, config, state, state.step * Batches(splits.train, config.training, 0).size, directory)
    if is_main_process():
        _finish_snapshots(config, manifest, state.history, directory)
        write_json(directory / MANIFEST, manifest)
    return manifest


def dry_run(config: RunConfig) -> Estimate:
    """What the run would cost, from a few measured steps; writes nothing."""
    splits = load_splits(config)
    model, origin = start_model(config, splits.train)
    _check_start(config, origin)
    return _estimate(config, splits, model)


def load_run(directory: Path) -> tuple[RunConfig, dict[str, Any], nn.Module, Splits]:
    """A finished run: config, manifest, model in eval mode with the chosen weights, and its data.

    Raises
    ------
    BadInput
        If the directory holds no finished run, or its weights or data are not those it was made with.
    """
    config, manifest = read_run(directory)
    if manifest["status"] != "finished":
        raise BadInput(f"{directory} is not trained to its end; run the same pellucid train command again to finish it")
    path = directory / manifest["weights"]["file"]
    tensors, _ = load(path)
    if file_hash(path) != manifest["weights"]["sha256"]:
        raise BadInput(f"{path} is not the file that {MANIFEST} describes (SHA-256 differs); train the run again")
    splits = load_splits(config)
    if splits.test.digest() != manifest["data"]["test_sha256"]:
        raise BadInput(f"the test images found for {directory} are not those it was trained with (SHA-256 differs)")
    model = build_model(standing_alone(config, directory), splits.train)
    load_weights(model, tensors, path)
    return config, manifest, model.eval(), splits


def read_run(directory: Path) -> tuple[RunConfig, dict[str, Any]]:
    """Config and manifest of a run directory. Raises BadInput if it is none."""
    if not (directory / MANIFEST).exists():
        raise BadInput(f"{directory} is not a run directory (no {MANIFEST}); make one with pellucid train --out")
    return check(config_of(directory)), read_json(directory / MANIFEST)


def check_folder(config: RunConfig, directory: Path) -> None:
    """Refuse a directory that is a file, holds anything but a run, or a run of another config (the keys are named)."""
    if directory.exists() and not directory.is_dir():
        raise BadInput(f"{directory} is a file; --out must name a folder")
    if not (directory / MANIFEST).exists():
        others = [path.name for path in directory.glob("[!.]*") if path.name != CONFIG]
        if others:
            raise BadInput(f"{directory} is not empty ({others[0]}, …) and holds no run; choose another --out")
        return
    before, after = plain(read_run(directory)[0]), plain(config)
    before["data"]["root"] = after["data"]["root"]  # data may move; their hashes are compared when they are used
    if before["model"]["weights"] and after["model"]["weights"]:  # so may weights, whose hash is in the config
        before["model"]["weights"] = after["model"]["weights"]
    differing = differences(before, after)
    if differing:
        raise BadInput(f"{directory} holds a run of another config ({', '.join(differing)}); choose another --out")


def standing_alone(config: RunConfig, directory: Path) -> RunConfig:
    """The config of a run whose model needs nothing but the run directory, whose weights replace all it starts with."""
    model = ModelConfig(**remembered(plain(config)["model"], directory))
    return config.model_copy(update={"model": model})


def remove_leftovers(directory: Path) -> None:
    """Delete what a killed process had begun to write (see :func:`pellucid.files.write_atomic`)."""
    for path in directory.glob(".*.*.*"):
        path.unlink(missing_ok=True)


def differences(before: Any, after: Any, place: str = "") -> list[str]:
    """The dotted keys in which two configs differ, with both values."""
    if isinstance(before, dict) and isinstance(after, dict):
        keys = [*before, *(key for key in after if key not in before)]
        return [d for key in keys for d in differences(before.get(key), after.get(key), f"{place}.{key}".strip("."))]
    return [] if before == after else [f"{place}: {before} there, {after} here"]


def _check_start(config: RunConfig, origin: dict[str, Any] | None) -> None:
    if config.training.choose == "trade_off" and (origin is None or origin["head"] == "new"):
        what = "this run starts at random" if origin is None else "the starting model knows other classes"
        raise BadInput(
            f"choose 'trade_off' bounds the loss of accuracy against a starting model, but {what}; train with choose: "
            "clean first and start from that run (--from RUN)"
        )


def _described(origin: dict[str, Any]) -> str:
    head = "its last layer kept" if origin["head"] == "kept" else "with a new last layer for these classes"
    first = ", its first layer summed over the colours" if origin.get("first_layer") == "summed" else ""
    return f"starts from {origin['path']}, {head}{first}"


def _finish_snapshots(
    config: RunConfig, manifest: dict[str, Any], history: list[dict[str, Any]], directory: Path
) -> None:
    """Make a run directory of every snapshot, whose weights were written on the way."""
    for epoch in snapshot_epochs(config.training.epochs, config.training.snapshots):
        folder = snapshot_folder(directory, epoch)
        if not (folder / WEIGHTS).exists():  # max_steps came before it
            continue
        rows = [row for row in history if row["epoch"] <= epoch]
        for name in (CONFIG, ARCHITECTURE):
            if (directory / name).exists():
                write_atomic(folder / name, (directory / name).read_bytes())
        write_json_lines(folder / HISTORY, rows)
        write_json(folder / MANIFEST, of_snapshot(manifest, rows, folder))


def _note_architecture(config: RunConfig, model: nn.Module, directory: Path) -> None:
    """Keep the config of a Hugging Face network beside the weights: the hub or folder it came from may be gone."""
    if config.model.name.replace("-", "_") == "hugging_face":
        network: Any = model.get_submodule("network")
        keys = network.config.to_dict()
        write_json(directory / ARCHITECTURE, {key: keys[key] for key in keys if key != "_name_or_path"})


def _estimate(config: RunConfig, splits: Splits, model: nn.Module) -> Estimate:
    return estimate(
        model,
        build_objective(config),
        splits.train,
        splits.validation,
        settings=config.training,
        seed=config.seed,
    )
