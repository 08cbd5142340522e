"""The document of the benchmarks: a section per device, in it a part per benchmark; only what was run is replaced."""

import re
from collections.abc import Mapping
from pathlib import Path

INTRODUCTION = """# Benchmarks

Written by `python benchmarks/run.py --write docs/benchmarks.md`; a single benchmark is repeated with
`python benchmarks/run.py --only NAME`. All contestants run on the same model and images, in turn, with as many threads:
Pellucid and the bare passes in one process, the neighbours in their own environment and process
(`scripts/neighbour_environment.sh`), timed inside it. A ratio is taken in every round; the table has the median and the
smallest and largest. Where contestants do the same work their numbers are compared first, and a benchmark whose
contestants disagree fails. "× faster": how many times longer the other takes. Absolute times on shared machines mean
little, and the spread shows how little.
"""
Parts = dict[str, dict[str, str]]
"""Section and benchmark to Markdown."""


def parts_of(text: str) -> Parts:
    """The parts of a document that this module wrote; whatever else it holds is left out."""
    sections = re.split(r"^## (.+)\n", text, flags=re.MULTILINE)[1:]
    found: Parts = {}
    for name, body in zip(sections[::2], sections[1::2], strict=True):
        pieces = re.split(r"^### (.+)\n", body, flags=re.MULTILINE)[1:]
        found[name] = {part: content.strip() for part, content in zip(pieces[::2], pieces[1::2], strict=True)}
    return found


def document(parts: Mapping[str, Mapping[str, str]]) -> str:
    """The whole document."""
    pieces = [INTRODUCTION]
    for section, benchmarks in parts.items():
        pieces.append(f"## {section}\n")
        pieces += [f"### {name}\n\n{content}\n" for name, content in benchmarks.items()]
    return "\n".join(pieces)


def write(path: Path, section: str, new: Mapping[str, str]) -> None:
    """Replace these benchmarks in this section of the document; everything else in it stays."""
    parts = parts_of(path.read_text(encoding="utf-8")) if path.exists() else {}
    parts[section] = parts.get(section, {}) | dict(new)
    path.write_text(document(parts), encoding="utf-8")
