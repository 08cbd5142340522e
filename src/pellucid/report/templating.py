"""The Jinja environment of the report: every text is escaped unless it is `Markup`."""

from functools import lru_cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pellucid.report.cells import counts_text, dropped_text, row_label
from pellucid.report.words import count, interval, number


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("pellucid.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters = (number, interval, count, row_label, counts_text, dropped_text)
    environment.filters.update({function.__name__: function for function in filters})
    return environment


def render(template: str, **context: Any) -> Markup:
    """A template of `report/templates`, filled in. Safe HTML, because all its inputs were escaped."""
    return Markup(_environment().get_template(template).render(**context))
