"""The Jinja environment of the report: every text is escaped unless it is `Markup`."""

from functools import lru_cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from pellucid.report.cells import counts_text, dropped_text, row_label
from pellucid.report.words import count, interval, number


def _entry(entry: Any) -> Markup:
    """A cell of a plain table: a link where it has an address, else its text, after the picture if the page has one."""
    if hasattr(entry, "css_class"):
        return Markup('<span class="thumbnail {}" aria-hidden="true"></span> {}').format(entry.css_class, str(entry))
    address = getattr(entry, "address", None)
    return escape(str(entry)) if address is None else Markup('<a href="{}">{}</a>').format(address, str(entry))


def page_environment(package: str) -> Environment:
    """The templates of a package, for pages with other people's names: all is escaped, nothing undefined passes."""
    return Environment(
        loader=PackageLoader(package), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = page_environment("pellucid.report")
    filters = (number, interval, count, row_label, counts_text, dropped_text)
    environment.filters.update({function.__name__: function for function in filters})
    environment.filters["entry"] = _entry
    environment.tests["a_number"] = lambda entry: hasattr(entry, "value")
    return environment


def source(template: str) -> str:
    """A file of `report/templates` as it is."""
    loader = _environment().loader
    assert loader is not None
    return loader.get_source(_environment(), template)[0]


def render(template: str, **context: Any) -> Markup:
    """A template of `report/templates`, filled in. Safe HTML, because all its inputs were escaped."""
    return Markup(_environment().get_template(template).render(**context))
