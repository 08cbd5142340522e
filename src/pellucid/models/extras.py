"""Optional libraries, imported when they are first needed."""

import importlib
from typing import Any

from pellucid.errors import BadInput


def model_library(module: str, what: str) -> Any:
    """An optional library. Raises BadInput with the command that installs it where it is missing."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise BadInput(f"{what} needs the models extra: pip install 'pellucid[models]' ({error})") from error


def one_line(error: BaseException) -> str:
    """What a library has to say, in one line of bearable length."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else f"{text[:300]}…"


def refused_option(what: str, error: TypeError) -> BadInput:
    """The error for an option that a library's builder does not take."""
    _, _, option = str(error).partition("unexpected keyword argument ")
    if not option:
        return BadInput(f"{what} cannot be built: {one_line(error)}")
    return BadInput(f"unknown option of {what} {option.strip()}: its library does not take it")
