"""Where the pages are, what their blocks are, and the scripts that make parts of them."""

import importlib.util
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
OF_NO_PAGE = {"notebooks", "results", "figures", "assets", "quickstart"}
PAGES = sorted(path for path in DOCS.rglob("*.md") if OF_NO_PAGE.isdisjoint(path.relative_to(DOCS).parts))
TAUGHT = ["tutorial.md", "howto/researcher.md", "howto/engineer.md", "howto/study.md", "howto/auditor.md"]
"""The pages of which every block is run."""


def script(name):
    """A file of scripts/ as a module."""
    path = ROOT / "scripts" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"docs_script_{name}", path)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def blocks(path):
    return list(script("notebooks").blocks(path.read_text(encoding="utf-8")))


def commands(path):
    """Every command line of a page that begins with ``pellucid``, without the brackets of a synopsis."""
    found = []
    for block in blocks(path):
        if block.language in {"", "console", "sh", "bash"}:
            lines = re.sub(r"\\\n\s*", " ", block.text).splitlines()
            found += [re.sub(r"(\s|^)#.*", "", line).strip() for line in lines if line.startswith("pellucid ")]
    return [re.sub(r"[\[\]]", "", line) for line in found]
