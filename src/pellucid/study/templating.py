"""The Jinja environment of the study's report: every text is escaped unless it is `Markup`."""

from functools import lru_cache
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pellucid.report.words import count, interval, number


@lru_cache(maxsize=2)
def _environment(escape: bool) -> Environment:
    environment = Environment(
        loader=ChoiceLoader([PackageLoader("pellucid.study"), PackageLoader("pellucid.report")]),
        autoescape=escape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        {function.__name__: function for function in (number, interval, count, p_value, p_cell, sentence)}
    )
    return environment


def p_value(p: float | None) -> str:
    """`p = .032`, `p < .001`, `undefined`."""
    if p is None or p != p:  # noqa: PLR0124 (NaN)
        return "undefined"
    return "p < .001" if p < 0.001 else f"p = {p:.3f}".replace("0.", ".", 1)


def p_cell(p: float | None) -> str:
    """`.032`, `< .001`, `undefined`: a p-value under a heading that says so."""
    return p_value(p).removeprefix("p = ").removeprefix("p ")


def sentence(text: str) -> str:
    """The text with a capital letter in front; all others as they are."""
    return text[:1].upper() + text[1:]


def render(template: str, **context: Any) -> Markup:
    """An HTML template of `study/templates`, or of the report's. Safe, because all its inputs were escaped."""
    return Markup(_environment(escape=True).get_template(template).render(**context))


def render_text(template: str, **context: Any) -> str:
    """A template of plain text, such as a script; the caller quotes what it fills in."""
    return _environment(escape=False).get_template(template).render(**context)
