"""A model's name and options become a network: built in, of a library, or anybody's own code by its dotted path."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, get_type_hints

from torch import nn

from pellucid import models
from pellucid.errors import BadInput
from pellucid.models.adapting import adapted
from pellucid.naming import find, options_of

LIBRARIES = {"timm": "timm", "torchvision": "torchvision", "hf": "hugging_face", "hugging_face": "hugging_face"}
"""What stands before the colon of ``timm:resnet18``, and the adapter that it means."""

SUPPLIED = ("channels", "classes", "image_size")
"""What the data say about a network, so nobody else has to."""
OTHER_WORDS = {
    "in_channels": "channels",
    "in_chans": "channels",
    "num_channels": "channels",
    "num_classes": "classes",
    "n_classes": "classes",
    "img_size": "image_size",
}
"""How builders that were not written for Pellucid may call the same."""

PLAIN = (bool, int, float, str, type(None))


def spelled_out(name: str) -> dict[str, str]:
    """``timm:resnet18`` as ``{name: timm, architecture: resnet18}``; any other name as it is."""
    library, colon, architecture = name.partition(":")
    if not colon or library.replace("-", "_") not in LIBRARIES:
        return {"name": name}
    if not architecture:
        raise BadInput(f"'{name}' names no architecture; write it behind the colon, as in timm:resnet18")
    return {"name": LIBRARIES[library.replace("-", "_")], "architecture": architecture}


def label(name: str, options: Mapping[str, Any]) -> str:
    """The name in one word: ``timm:resnet18``, ``hf:vit``, ``lenet``."""
    short = {"hugging_face": "hf"}.get(plain := name.replace("-", "_"), plain)
    return f"{short}:{options['architecture']}" if is_library(name) and "architecture" in options else name


def is_library(name: str) -> bool:
    """Whether the name is that of an adapter, which takes an `architecture`."""
    return name.replace("-", "_") in LIBRARIES.values()


def model_options(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a model, checked and with the builder's defaults filled in.

    Raises
    ------
    BadInput
        If there is no such builder, or an option is unknown, missing or wrong.
    """
    builder, supplied = _builder(name)
    return options_of(builder, options, where=f"model '{name}'", supplied=supplied)


def build_network(name: str, options: Mapping[str, Any], *, channels: int, classes: int, image_size: int) -> nn.Module:
    """The network alone, without normalisation: images [B, C, H, W], normalised, to logits [B, K].

    Raises
    ------
    BadInput
        If the name or an option is wrong, or the network does not take such images or give such logits.
    """
    builder, supplied = _builder(name)
    shape = {"channels": channels, "classes": classes, "image_size": image_size}
    checked = options_of(builder, options, where=f"model '{name}'", supplied=supplied)
    own = name.replace("-", "_") in models.__all__
    given = {word: shape[OTHER_WORDS.get(word, word)] for word in supplied}
    network = builder(**given, **checked)
    if own:
        return network  # type: ignore[no-any-return]
    if not isinstance(network, nn.Module):
        raise BadInput(f"the model '{name}' returned a {type(network).__name__}, not a torch.nn.Module")
    return adapted(network, f"model '{name}'", **shape)


def _builder(name: str) -> tuple[Callable[..., Any], tuple[str, ...]]:
    """The function behind a name, in keyword form, and which of its parameters the data supply."""
    builder = find(models, name, "model")
    if name.replace("-", "_") in models.__all__:
        return builder, SUPPLIED
    builder = _by_keyword(builder, name)
    taken = inspect.signature(builder).parameters
    return builder, tuple(word for word in (*SUPPLIED, *OTHER_WORDS) if word in taken)


def _by_keyword(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """Anybody's function or class with its parameters by keyword, those left out that no config could write."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError) as error:
        raise BadInput(f"the model '{name}' has no signature to read ({error}); wrap it in a function") from error
    kept = []
    for parameter in parameters:
        required = parameter.default is parameter.empty
        if parameter.kind is parameter.POSITIONAL_ONLY and required:
            raise BadInput(f"the model '{name}' takes '{parameter.name}' by position only; wrap it in a function")
        starred = parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}
        if not starred and (required or _writable(parameter.default)):
            kept.append(parameter.replace(kind=parameter.KEYWORD_ONLY))

    def by_keyword(**arguments: Any) -> Any:
        return function(**arguments)

    vars(by_keyword)["__signature__"] = inspect.Signature(kept)
    by_keyword.__annotations__ = _hints(function)
    return by_keyword


def _writable(default: Any) -> bool:
    """Whether a config can hold it."""
    if isinstance(default, list | tuple):
        return all(isinstance(item, PLAIN) for item in default)
    return isinstance(default, PLAIN)


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """Type hints of a function, or of the __init__ of a class; none where they cannot be evaluated."""
    try:
        return get_type_hints(function.__init__ if isinstance(function, type) else function, include_extras=True)  # type: ignore[misc]
    except (NameError, TypeError, AttributeError):
        return {}
