"""Write docs/notebooks/*.ipynb from the tutorial and the how-to pages: the pages' code, without outputs.

python scripts/notebooks.py [--check]      --check: write nothing, exit 1 where a notebook is not what its page says
"""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[1] / "docs"
FOLDER = DOCS / "notebooks"
PAGES = ("tutorial.md", *(f"howto/{name}.md" for name in ("researcher", "engineer", "study", "auditor")))
BLOCK = re.compile(r"(?:<!-- not run: (?P<reason>[^\n]*?) -->\n)?```(?P<language>\w*)\n(?P<text>.*?)```\n", re.DOTALL)
FILE = re.compile(r"# ([\w./-]+\.(?:yaml|py))\n")
RELATIVE = re.compile(r"\]\((?!https?://|#)([^)]+)\)")


@dataclass(frozen=True)
class Block:
    """A piece of a page: prose (`language` "markdown") or a fenced block.

    Attributes
    ----------
    name
        The file that it is to be saved as, where its first line is a comment with nothing but a file's name.
    reason
        Why it is not to be run, from the comment before it; empty if it is.
    """

    language: str
    text: str
    name: str = ""
    reason: str = ""


def blocks(page: str) -> Iterator[Block]:
    """The pieces of a page, in order."""
    before = 0
    for found in BLOCK.finditer(page):
        if prose := page[before : found.start()].strip():
            yield Block("markdown", prose)
        named = FILE.match(found["text"])
        yield Block(found["language"], found["text"], named[1] if named else "", found["reason"] or "")
        before = found.end()
    if prose := page[before:].strip():
        yield Block("markdown", prose)


def notebook(name: str) -> str:
    """The notebook of that page, as JSON."""
    page = (DOCS / name).read_text(encoding="utf-8")
    cells = [_cell(place, block, Path(name).parent) for place, block in enumerate(blocks(page))]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    content = {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _cell(place: int, block: Block, folder: Path) -> dict[str, Any]:
    code = _code(block)
    common = {"id": f"cell-{place}", "metadata": {}}
    if code is None:
        prose = block.text if block.language == "markdown" else f"```{block.language}\n{block.text}```"
        return common | {"cell_type": "markdown", "source": _lines(_relinked(prose, folder))}
    return common | {"cell_type": "code", "execution_count": None, "outputs": [], "source": _lines(code)}


def _code(block: Block) -> str | None:
    """What a code cell says, or None for a cell of text."""
    if block.name:
        return f"%%writefile {block.name}\n{block.text}".rstrip()
    if block.language == "python":
        return (
            "\n".join(f"# {line}".rstrip() for line in block.text.splitlines()) if block.reason else block.text.rstrip()
        )
    if block.language == "console":
        return "\n".join(f"!{line}" for line in block.text.splitlines())
    return None


def _relinked(prose: str, folder: Path) -> str:
    """Links as they are from docs/notebooks, to the Markdown pages."""
    up = "../" if folder == Path() else f"../{folder}/"
    return RELATIVE.sub(lambda found: f"]({_short(up + found[1])})", prose)


def _short(link: str) -> str:
    """``../howto/../x`` is ``../x``."""
    return re.sub(r"(?<=\.\./)(?!\.\.)[\w-]+/\.\./", "", link)


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def written() -> dict[Path, str]:
    """Every notebook by its path."""
    return {FOLDER / f"{Path(name).stem}.ipynb": notebook(name) for name in PAGES}


def main() -> None:
    """Write or check."""
    wrong = [path for path, text in written().items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if "--check" in sys.argv[1:]:
        sys.exit(f"out of date, run scripts/notebooks.py: {[path.name for path in wrong]}" if wrong else 0)
    for path in wrong:
        path.write_text(written()[path], encoding="utf-8")


if __name__ == "__main__":
    main()
