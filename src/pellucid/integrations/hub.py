"""The Hugging Face hub: a run as a folder with a model card, up to the hub, and back as a module; never a pickle."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import nn

from pellucid.data.dataset import Dataset
from pellucid.errors import BadInput, RunFailed
from pellucid.experiments.build import build_model
from pellucid.experiments.config import check
from pellucid.experiments.manifest import CONFIG, MANIFEST
from pellucid.experiments.start import ARCHITECTURE, config_of, remembered
from pellucid.experiments.train import read_run
from pellucid.files import file_hash, read_json, write_atomic, write_json
from pellucid.integrations.card import Card, Measured, model_card
from pellucid.integrations.extras import library
from pellucid.training.checkpoint import load, load_weights

__all__ = ["export_run", "pull", "push"]

WEIGHTS, MEASUREMENTS, README = "model.safetensors", "measurements.json", "README.md"
FILES = (WEIGHTS, CONFIG, MANIFEST, MEASUREMENTS, ARCHITECTURE, README)
"""All that is pushed and pulled."""
REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")


def export_run(
    run: Path, folder: Path, *, measured: Measured | None = None, name: str | None = None, licence: str = "unknown"
) -> nn.Module:
    """Write a finished run as a folder for the hub: weights, config, manifest, measurements and a model card.

    No path of this machine is written. The folder is read back before it is called done.

    Parameters
    ----------
    measured
        The run's measurements; without them the card says that there are none.
    name
        The repository it is meant for, "owner/name"; the card names the folder if absent.
    licence
        Of the weights, by the hub's identifier: apache-2.0, cc-by-4.0, …

    Returns
    -------
    nn.Module
        The model as :func:`pull` gives it.

    Raises
    ------
    BadInput
        If the run is not finished, or its weights are not those of its manifest, or `folder` holds other things.
    RunFailed
        If the folder cannot be written.
    """
    _, manifest = read_run(run)
    if manifest["status"] != "finished":
        raise BadInput(f"{run} is not trained to its end; run the same pellucid train command again to finish it")
    strangers = sorted(path.name for path in folder.glob("[!.]*") if path.name not in FILES)
    if strangers:
        raise BadInput(f"{folder} is not empty ({strangers[0]}, …); choose another folder to export to")
    config, measured = config_of(run), measured or Measured()
    weights = run / manifest["weights"]["file"]
    manifest = _without_paths(manifest) | {"weights": manifest["weights"] | {"file": WEIGHTS}}
    write_atomic(folder / WEIGHTS, weights.read_bytes())
    if (run / ARCHITECTURE).is_file():
        write_atomic(folder / ARCHITECTURE, (run / ARCHITECTURE).read_bytes())
    own = _without_paths(config | {"data": config["data"] | {"root": None}, "model": remembered(config["model"], run)})
    write_atomic(folder / CONFIG, yaml.safe_dump(own, sort_keys=False, allow_unicode=True))
    write_json(folder / MANIFEST, manifest)
    write_json(folder / MEASUREMENTS, measured.as_plain())
    card = Card(name or folder.absolute().name, manifest, own, measured, licence, own_code=bool(_outside_names(own)))
    write_atomic(folder / README, model_card(card))
    return pull(folder, own_code=True)


def pull(source: str | Path, *, own_code: bool = False) -> nn.Module:
    """The model of an exported folder, or of a repository of the hub: pixels in, logits out, in eval mode.

    Only safetensors, YAML and JSON are read, and nothing that a config names is imported from outside of Pellucid.

    Parameters
    ----------
    source
        A folder, or "owner/name" on the hub (the only case in which the network is used).
    own_code
        Allow a config that names a network or filter of yours by its dotted path, which is then imported and called.

    Returns
    -------
    nn.Module
        Images [B, C, H, W] in [0, 1] to logits [B, K], bitwise those of the run. Its attribute ``class_names`` holds
        the names of the classes.

    Raises
    ------
    BadInput
        If there is no such folder or repository, a file is missing or damaged, or its weights are not those that its
        manifest describes.
    """
    folder = Path(source) if Path(source).is_dir() else _downloaded(str(source))
    raw, manifest, path = config_of(folder), read_json(folder / MANIFEST), folder / WEIGHTS
    outside = _outside_names(raw)
    if outside and not own_code:
        raise BadInput(f"{folder / CONFIG} names code of its author's ({outside[0]}); pull it with own_code=True")
    tensors, _ = load(path)
    try:
        described, data = manifest["weights"]["sha256"], manifest["data"]
        stand_in = _images_like(data["image"], tuple(data["classes"]))
    except (KeyError, TypeError) as error:
        raise BadInput(f"{folder / MANIFEST} is not the manifest of a finished run ({error})") from error
    if file_hash(path) != described:
        raise BadInput(f"{path} is not the file that {MANIFEST} describes (SHA-256 differs); export or pull it again")
    built = remembered(raw["model"], folder) | {"normalise": "none"}  # the weights bring it
    model = build_model(check({"model": built, "smoothing": raw.get("smoothing")}), stand_in)
    load_weights(model, tensors, path)
    model.class_names = stand_in.classes  # type: ignore[assignment]
    return model.eval()


def push(folder: Path, name: str, *, private: bool = True) -> str:
    """Upload an exported folder to "owner/name" on the hub, which is made if it does not exist. Returns its address.

    Needs a token (``hf auth login``). `private` says what a new repository is; an existing one stays as it is.

    Raises
    ------
    BadInput
        If the folder was not exported, or the name is none of a repository.
    RunFailed
        If the hub cannot be reached, or refuses.
    """
    if not REPOSITORY.fullmatch(name):
        raise BadInput(f"'{name}' is no repository of the hub; write owner/name")
    if not (folder / README).is_file() or not (folder / WEIGHTS).is_file():
        raise BadInput(f"{folder} is no exported run; make one with pellucid export RUN --to {folder}")
    hub = library("huggingface_hub", extra="models")
    try:
        address = hub.HfApi().create_repo(name, private=private, exist_ok=True)
        hub.HfApi().upload_folder(repo_id=name, folder_path=str(folder), allow_patterns=list(FILES))
    except (OSError, ValueError, hub.errors.HfHubHTTPError) as error:  # no token, no network, no right
        raise RunFailed(f"the hub did not take {name}: {' '.join(str(error).split())[:300]}") from error
    return str(address)


def _downloaded(name: str) -> Path:
    if not REPOSITORY.fullmatch(name):
        raise BadInput(f"there is no folder {name}, and it is no repository of the hub (owner/name)")
    hub = library("huggingface_hub", extra="models")
    try:
        return Path(hub.snapshot_download(name, allow_patterns=list(FILES)))
    except (OSError, ValueError, hub.errors.HfHubHTTPError) as error:
        raise BadInput(f"cannot pull {name} from the hub: {' '.join(str(error).split())[:300]}") from error


def _outside_names(config: Mapping[str, Any]) -> list[str]:
    """The dotted paths in a config that building its model would import."""
    smoothing = config.get("smoothing") or {}
    model = config.get("model") or {}
    names = [model.get("name", "") if isinstance(model, dict) else model, smoothing.get("filter", "")]
    return [str(name) for name in names if "." in str(name).partition(":")[0]]


def _images_like(image: list[int], classes: tuple[str, ...]) -> Dataset:
    """One black image in the shape of the data, which are not needed."""
    pixels = torch.zeros(1, *(int(side) for side in image), dtype=torch.uint8)
    one = torch.zeros(1, dtype=torch.int64)
    return Dataset("exported", "train", pixels, one, classes, one)


def _without_paths(value: Any) -> Any:
    """The same plain values with every absolute path reduced to its last part."""
    if isinstance(value, dict):
        return {key: _without_paths(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_paths(item) for item in value]
    return Path(value).name if isinstance(value, str) and value.startswith(("/", "~")) else value
