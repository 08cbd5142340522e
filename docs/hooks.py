"""What the site needs beyond plain Markdown: files of the repository that pages link to travel with it."""

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
OUTSIDE = re.compile(r"\]\(((?:\.\./)+)((?:configs|examples)/[\w./-]+)\)")
"""Links from a page to a config or an example beside docs/."""
ROLE = re.compile(r":(?:func|class|meth|mod|attr|data):<code>~?([\w.]+)</code>")
"""A reference of a docstring, as it comes out of Markdown."""


def on_files(files: Any, *, config: Any) -> Any:
    """Add the configs and examples that any page links to."""
    from mkdocs.structure.files import File  # noqa: PLC0415 (the tests read this file without mkdocs)

    texts = [page.content_string for page in files.documentation_pages()]
    for name in sorted({found[1] for text in texts for found in OUTSIDE.findall(text)}):
        files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Any) -> str:  # noqa: ARG001 (mkdocs calls so)
    """In the repository they lie one folder further up than in the site."""
    return OUTSIDE.sub(lambda found: f"]({found[1].removeprefix('../')}{found[2]})", markdown)


def on_page_content(html: str, *, page: Any, config: Any, files: Any) -> str:  # noqa: ARG001 (mkdocs calls so)
    """References in docstrings become links, where the reference has what they name."""

    def linked(found: re.Match[str]) -> str:
        name = found[1].rpartition(".")[2]
        return f'<autoref optional identifier="{found[1]}"><code>{name}</code></autoref>'

    return ROLE.sub(linked, html)
