"""The libraries behind the doors are optional: what is said where one is missing."""

import importlib
from typing import Any

from pellucid.errors import BadInput


def library(module: str, *, extra: str) -> Any:
    """An optional library, imported. Raises BadInput with the command that installs it where it is missing."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise missing(module, extra, error) from error


def missing(module: str, extra: str, error: ImportError) -> BadInput:
    """The one sentence about a library that is not installed."""
    return BadInput(f"this needs {module.partition('.')[0]}: pip install 'pellucid[{extra}]' ({error})")
