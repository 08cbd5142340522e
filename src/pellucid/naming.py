"""Names in a config become checked calls: ``{name: adversarial, eps: 0.1}`` → ``adversarial(..., eps=0.1)``.

A name is looked up in a module's ``__all__`` (hyphens and underscores are the same), or is a dotted path to outside
code (``my_package.losses.smooth_hinge``). The options are the function's keyword-only parameters; pydantic checks them.
"""

import importlib
import inspect
from collections.abc import Callable, Collection, Mapping
from types import ModuleType
from typing import Annotated, Any, get_type_hints

from annotated_types import Ge, Gt
from pydantic import AllowInfNan, ConfigDict, ValidationError, create_model

from pellucid.errors import BadInput, unknown_name

Positive = Annotated[float, Gt(0), AllowInfNan(False)]
NonNegative = Annotated[float, Ge(0), AllowInfNan(False)]
Count = Annotated[int, Ge(1)]

OF_A_BATCH = ("objective", "regulariser")
"""Kinds that are called with (model, x, y, generator=…)."""


def find(module: ModuleType, name: str, kind: str) -> Callable[..., Any]:
    """The function called `name` in `module.__all__`, or the object at the dotted path `name`.

    Raises
    ------
    BadInput
        If there is none; `kind` ("objective", "filter", …) and the nearest valid name are in the sentence. Also if an
        objective or a regulariser from outside does not take what it will be called with.
    """
    spelt = {known.replace("_", "-"): known for known in module.__all__}
    plain = name.replace("_", "-")
    if plain in spelt:
        return getattr(module, spelt[plain])  # type: ignore[no-any-return]
    if "." in name:
        return _outside(name, kind)
    raise unknown_name(kind, name, spelt)


def _outside(path: str, kind: str) -> Callable[..., Any]:
    parent, _, attribute = path.rpartition(".")
    try:
        function = getattr(importlib.import_module(parent), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise BadInput(f"cannot import the {kind} '{path}': {error}") from error
    if not callable(function):
        raise BadInput(f"the {kind} '{path}' is a {type(function).__name__}, not something to call")
    if kind in OF_A_BATCH:
        _check_takes_a_batch(function, f"the {kind} '{path}'")
    return function  # type: ignore[no-any-return]


def _check_takes_a_batch(function: Callable[..., Any], what: str) -> None:
    try:
        inspect.signature(function).bind_partial("model", "x", "y", generator=None)
    except (TypeError, ValueError) as error:  # ValueError: some builtins do not say what they take
        raise BadInput(f"{what} cannot be called with (model, x, y, generator=…): {error}") from error


def options_of(
    function: Callable[..., Any], options: Mapping[str, Any], *, where: str, supplied: Collection[str] = ()
) -> dict[str, Any]:
    """Check `options` against the keyword-only parameters of `function`, or all of a class, and fill in its defaults.

    A function that takes ``**options`` gets the unknown ones as they are, and checks them itself.

    Parameters
    ----------
    where
        What is configured, for messages: "objective 'adversarial'".
    supplied
        Parameters that the caller passes itself (a generator, the number of classes), so not the user's to set.

    Raises
    ------
    BadInput
        One sentence with the first unknown, missing or wrong option.
    """
    hints = get_type_hints(function.__init__ if inspect.isclass(function) else function, include_extras=True)
    parameters = inspect.signature(function).parameters
    kinds = {inspect.Parameter.KEYWORD_ONLY} | (
        {inspect.Parameter.POSITIONAL_OR_KEYWORD} if inspect.isclass(function) else set()
    )
    fields: dict[str, Any] = {}
    for name, parameter in parameters.items():
        if parameter.kind in kinds and name not in supplied:
            default = ... if parameter.default is parameter.empty else parameter.default
            fields[name] = (hints.get(name, Any), default)
    passes_on = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    further = {key: value for key, value in options.items() if key not in fields and key not in supplied}
    for key in options:
        if key not in fields and not (passes_on and key in further):
            raise unknown_name(f"option of {where}", key, fields)
    model = create_model("Options", __config__=ConfigDict(arbitrary_types_allowed=True), **fields)
    try:
        checked = model(**{key: value for key, value in options.items() if key in fields})
    except ValidationError as error:
        raise BadInput(f"{where}: {first_problem(error)}") from error
    return {name: getattr(checked, name) for name in fields} | further


def first_problem(error: ValidationError) -> str:
    """The first complaint of pydantic in one line: where, what, and the value that was seen."""
    problem = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in problem["loc"])
    seen = "" if problem["type"] == "missing" else f" (got {problem['input']!r})"
    return f"{place}: {problem['msg'][:1].lower()}{problem['msg'][1:]}{seen}"
