"""Weights from elsewhere: safe files only, loaded strictly but for a classifier of other classes."""

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from pellucid.errors import BadInput
from pellucid.models.extras import one_line

PREFIXES = ("module.", "network.", "_orig_mod.")
"""What DataParallel, Pellucid and torch.compile put before the names."""
NESTED = ("state_dict", "model_state_dict", "model")
"""Where training scripts keep the weights inside of what they save."""
MEAN, STD = "normalise.mean", "normalise.std"
BLOCK = ".block.mix."
"""In the names of a SmoothBlock's parameters."""
IN_A_FOLDER = ("weights.safetensors", "model.safetensors")
"""The weights in a run directory, and in a Hugging Face folder."""
COLOURS = 3


@dataclass(frozen=True)
class Start:
    """What became of the weights that a model starts from.

    Attributes
    ----------
    head
        "kept", or "new": the data have other classes, so the last layer keeps its own random weights.
    first_layer
        "kept", or "summed": the images have another number of channels.
    """

    head: Literal["kept", "new"] = "kept"
    first_layer: Literal["kept", "summed"] = "kept"


def weights_file(path: Path) -> Path:
    """The file itself, or the weights inside a run directory or a Hugging Face folder.

    Raises
    ------
    BadInput
        If there is neither.
    """
    if path.is_dir():
        found = [path / name for name in IN_A_FOLDER if (path / name).is_file()]
        if not found:
            raise BadInput(f"the folder {path} holds no weights ({' or '.join(IN_A_FOLDER)}); give a file or a run")
        return found[0]
    if not path.is_file():
        raise BadInput(f"there are no weights at {path}; give a safetensors file, a .pt file or a run directory")
    return path


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, or of a state dict in a ``.pt`` or ``.pth`` file, on the CPU.

    Nothing in a file is ever executed: pickles are read with torch's ``weights_only``.

    Raises
    ------
    BadInput
        If the file is missing, damaged, of another kind, or a pickle that only its own code could read.
    """
    path = weights_file(path)
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            raise BadInput(f"{path} is not a usable safetensors file: {one_line(error)}") from error
    if path.suffix not in {".pt", ".pth"}:
        raise BadInput(
            f"{path} is no safetensors file and no .pt or .pth state dict; convert it with safetensors.torch.save_file"
        )
    return _state_dict(path)


def _state_dict(path: Path) -> dict[str, Tensor]:
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise BadInput(
            f"{path} cannot be read without running code that it holds, which Pellucid refuses; save its state_dict() "
            "as safetensors"
        ) from error
    except Exception as error:
        raise BadInput(f"{path} is damaged or no file of torch.save: {one_line(error)}") from error
    for key in NESTED:
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    if not isinstance(found, Mapping) or not found or not all(isinstance(t, Tensor) for t in found.values()):
        raise BadInput(f"{path} holds no state dict (names and tensors); save model.state_dict()")
    return {str(name): tensor for name, tensor in found.items()}


def carries_normalisation(path: Path) -> bool:
    """Whether the weights are those of a run, with its normalisation among them. False where they cannot be read."""
    try:
        with safe_open(weights_file(path), framework="pt") as file:
            return {MEAN, STD} <= set(file.keys())
    except (BadInput, SafetensorError, OSError):
        return False


def without_normalisation(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of the network alone."""
    return {name: tensor for name, tensor in tensors.items() if name not in {MEAN, STD}}


def load_start(network: nn.Module, tensors: Mapping[str, Tensor], *, what: str) -> Start:
    """Load weights strictly, except for a classifier of other classes and a first convolution of other channels.

    A linear layer or convolution whose weights differ in the number of outputs alone, where that number is the
    network's number of logits, keeps its own random weights. A convolution that saw 3 channels (or 1) and sees another
    number now gets the sum of its weights over the colours (or the same weights for each), so that a grey image gives
    what it gave before as three equal channels.

    Parameters
    ----------
    network
        Changed in place; all of its weights but those of a new head.
    tensors
        By name; the prefixes ``module.``, ``network.`` and ``_orig_mod.`` do not matter.
    what
        Where they come from, for messages.

    Raises
    ------
    BadInput
        Naming the first tensors that are missing, superfluous or of another shape.
    """
    own, given = _bare(network.state_dict()), _bare(tensors)
    missing, unexpected = [n for n in own if n not in given], [n for n in given if n not in own]
    if missing or unexpected:
        parts = [f"{word} {_few(names)}" for word, names in (("missing", missing), ("unexpected", unexpected)) if names]
        raise BadInput(f"the weights of {what} are not of this architecture: {'; '.join(parts)}")
    fitted = {name: _fitted(tensor, own[name][1]) for name, (_, tensor) in given.items()}
    heads = _head_names(network)
    other = [name for name, tensor in fitted.items() if tensor.shape != own[name][1].shape]
    for name in other:
        wanted, seen = own[name][1].shape, fitted[name].shape
        if name not in heads or wanted[1:] != seen[1:]:
            raise BadInput(
                f"the weights of {what} are not of this architecture: '{name}' is {tuple(given[name][1].shape)} there, "
                f"{tuple(wanted)} here"
            )
    network.load_state_dict({own[n][0]: t for n, t in fitted.items() if n not in other}, strict=False)
    summed = any(fitted[name].shape != tensor.shape for name, (_, tensor) in given.items())
    return Start("new" if other else "kept", "summed" if summed else "kept")


def _fitted(tensor: Tensor, own: Tensor) -> Tensor:
    """The weights of a convolution [D, 3 or 1, h, w] for another number of input channels; any other as it is."""
    alike = tensor.ndim == own.ndim == 4 and tensor.shape[:1] + tensor.shape[2:] == own.shape[:1] + own.shape[2:]
    if not alike or tensor.shape[1] == own.shape[1] or tensor.shape[1] not in {1, COLOURS}:
        return tensor
    return tensor.sum(1, keepdim=True).expand_as(own) / own.shape[1]


def _bare(tensors: Mapping[str, Tensor]) -> dict[str, tuple[str, Tensor]]:
    """Full name and tensor by the name without prefixes; by the full name where those would coincide."""
    bare = {_without_prefixes(name): (name, tensor) for name, tensor in tensors.items()}
    return bare if len(bare) == len(tensors) else {name: (name, tensor) for name, tensor in tensors.items()}


def _without_prefixes(name: str) -> str:
    for prefix in PREFIXES:
        if name.startswith(prefix):
            return _without_prefixes(name.removeprefix(prefix))
    return name


def _head_names(network: nn.Module) -> set[str]:
    """The bare names of the weights of the last layer, and of all others with as many outputs."""
    layers = [(name, m) for name, m in network.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    if not layers:
        return set()
    classes = _outputs(layers[-1][1])
    return {_without_prefixes(f"{n}.{p}") for n, m in layers if _outputs(m) == classes for p in ("weight", "bias")}


def _outputs(layer: Any) -> int:
    return int(layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels)


def _few(names: list[str], most: int = 3) -> str:
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest
