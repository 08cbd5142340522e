"""Atomic writes, hashes, and the plain formats of a run directory (JSON, JSON lines, YAML). Imports no torch."""

import hashlib
import json
import math
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from pellucid.errors import BadInput, RunFailed


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write `content` so that `path` holds either the old or the new bytes, whatever happens in between.

    The bytes go to a temporary file beside `path`, are flushed to the disk, and replace `path` by a rename.

    Raises
    ------
    RunFailed
        If the disk is full or the folder cannot be written; `path` then still holds what it held before.
    """
    data = content.encode() if isinstance(content, str) else content
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise RunFailed(
            f"cannot write {path}: {error.strerror or error}; what was there before is unchanged"
        ) from error


def write_json(path: Path, value: Any) -> None:
    """Write `value` as readable JSON, atomically; NaN and infinities become null."""
    write_atomic(path, json.dumps(finite(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_json_lines(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write one JSON object a line, atomically; NaN and infinities become null."""
    lines = (json.dumps(finite(row), ensure_ascii=False, allow_nan=False) for row in rows)
    write_atomic(path, "".join(f"{line}\n" for line in lines))


def read_json(path: Path) -> Any:
    """Read one JSON value. Raises BadInput with the path if it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise BadInput(f"{path} is damaged: it does not hold JSON ({error})") from error


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """Read one JSON object a line. Raises BadInput with path and line if one is missing or damaged."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"cannot read {path}: {error}") from error
    rows = []
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            rows.append(json.loads(line))
        except ValueError as error:
            raise BadInput(f"{path} is damaged in line {number}: {error}") from error
    return rows


def read_yaml(path: Path) -> Any:
    """Read one YAML document. Raises BadInput with the path if it is missing or damaged, or a key stands twice."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_OnceLoader)
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error


class _OnceLoader(yaml.SafeLoader):
    """Refuses a key that stands twice in one place; plain YAML keeps the last one and says nothing."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"):
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    problem=f"'{key.value}' stands twice", problem_mark=key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def finite(value: Any) -> Any:
    """The same value with every NaN and infinity replaced by None, through lists and dictionaries."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value


def file_hash(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
