"""Checkpoints: one safetensors file with its JSON in the header, written atomically. No pickle is ever read."""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor, nn
from torch.optim import Optimizer

from pellucid.errors import BadInput
from pellucid.files import write_atomic

HEADER = "pellucid"


def save(path: Path, tensors: dict[str, Tensor], header: dict[str, Any]) -> None:
    """Write tensors and a JSON header as one file, atomically."""
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    write_atomic(path, save_safetensors(plain, metadata={HEADER: json.dumps(header)}))


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what :func:`save` wrote: tensors on the CPU, and the header.

    Raises
    ------
    BadInput
        If the file is missing, damaged or truncated, not safetensors (a pickle, a web page), or not Pellucid's.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadInput(f"cannot read the checkpoint {path}: {error.strerror}") from error
    try:
        length = int.from_bytes(content[:8], "little")
        metadata = json.loads(content[8 : 8 + length]).get("__metadata__", {})
        tensors = load_safetensors(content)
    except (SafetensorError, ValueError, AttributeError) as error:
        raise BadInput(f"{path} is not a usable checkpoint: {_diagnosis(content, error)}") from error
    if HEADER not in metadata:
        raise BadInput(f"{path} is a safetensors file that Pellucid did not write; give a run's weights.safetensors")
    return tensors, json.loads(metadata[HEADER])


def load_weights(model: nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    """Load weights into a model of exactly that architecture.

    Raises
    ------
    BadInput
        Naming the first tensor that is missing, superfluous or of another shape.
    """
    expected = {name: tensor.shape for name, tensor in model.state_dict().items()}
    seen = {name: tensor.shape for name, tensor in tensors.items()}
    if expected != seen:
        name = next(n for n in [*expected, *seen] if expected.get(n) != seen.get(n))
        wanted, found = (tuple(s[name]) if name in s else "absent" for s in (expected, seen))
        raise BadInput(f"{path} is a checkpoint for another architecture: '{name}' is {found}, this model has {wanted}")
    model.load_state_dict(tensors)


def flatten_optimizer(optimizer: Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """An optimiser's state as named tensors and JSON (numbers, parameter groups)."""
    state = optimizer.state_dict()
    tensors: dict[str, Tensor] = {}
    numbers: dict[str, dict[str, Any]] = {}
    for index, values in state["state"].items():
        for name, value in values.items():
            if isinstance(value, Tensor):
                tensors[f"{index}.{name}"] = value
            else:
                numbers.setdefault(str(index), {})[name] = value
    return tensors, {"numbers": numbers, "groups": state["param_groups"]}


def restore_optimizer(optimizer: Optimizer, tensors: dict[str, Tensor], header: dict[str, Any]) -> None:
    """Put back what :func:`flatten_optimizer` took."""
    state: dict[int, dict[str, Any]] = {int(index): dict(values) for index, values in header["numbers"].items()}
    for key, tensor in tensors.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = tensor
    groups = [
        {key: tuple(v) if isinstance(v, list) and key == "betas" else v for key, v in group.items()}
        for group in header["groups"]
    ]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _diagnosis(content: bytes, error: Exception) -> str:
    if not content:
        return "the file is empty"
    if content[:2] == b"PK" or content[:1] == b"\x80":
        return "it is a pickle (torch.save); Pellucid loads no pickles, convert it to safetensors"
    if content.lstrip()[:1] == b"<":
        return "it is a web page, not weights; download it again"
    return f"it is damaged or truncated ({error})"
