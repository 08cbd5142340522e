"""The sealed key from stimulus to model: stored apart from the study, which holds no more than its hash."""

import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from pellucid.errors import BadInput, RunFailed
from pellucid.files import read_json
from pellucid.naming import first_problem


class Sealed(BaseModel):
    """What a stimulus is: the arm or name of the model, the run it comes from, the image and its class."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    model: str
    run: str
    image: int
    class_name: str = Field(alias="class")


class Key(BaseModel):
    """The whole key. The nonce keeps anybody from finding it by trying all assignments against the published hash."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    nonce: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
    stimuli: dict[str, Sealed]

    def sha256(self) -> str:
        """SHA-256 of the canonical JSON."""
        content = self.model_dump(by_alias=True)
        return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def seal(stimuli: Mapping[str, Sealed]) -> Key:
    """A key with a fresh nonce."""
    return Key(nonce=secrets.token_hex(16), stimuli=dict(stimuli))


def key_path(study: Path) -> Path:
    """Where the key of a study lies unless somebody moved it: beside the study's folder, never inside."""
    folder = study.absolute()
    return folder.with_name(f"{folder.name}.key.json")


def open_key(path: Path, key_sha256: str) -> Key:
    """The key in a file.

    Raises
    ------
    BadInput
        If it cannot be read, or is not the key whose hash the study published.
    """
    try:
        key = Key.model_validate(read_json(path))
    except ValidationError as error:
        raise BadInput(f"{path} is not a key: {first_problem(error)}") from error
    if key.sha256() != key_sha256:
        raise BadInput(f"{path} is not the key of this study: its SHA-256 is not the one that the study published")
    return key


def write_secret(path: Path, content: str) -> None:
    """Write a new file that only its owner may read. Raises RunFailed if it exists or cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise RunFailed(f"cannot write {path}: {error.strerror or error}") from error
