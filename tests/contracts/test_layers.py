"""Data flows one way: a package imports only what stands above it; the report and the statistics need no torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import pellucid

ROOT = Path(pellucid.__file__).parent
ORDER = [
    "errors files types randomness modes memory_format gradients naming data filters models attacks regularisers",
    "objectives training attributions metrics theory statistics experiments doctor integrations report gate passport",
    "study explore cli __main__",
]
LAYERS = " ".join(ORDER).split()
WITHOUT_TORCH = ("errors", "files", "naming", "statistics", "report", "gate", "passport", "study")


def modules():
    return sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")


def layer_of(path):
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(path, *, lazy=True):
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree) if lazy else tree.body:
        if isinstance(node, ast.ImportFrom):
            yield from (
                [f"pellucid.{alias.name}" for alias in node.names] if node.module == "pellucid" else [node.module]
            )
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_only_what_stands_above(path):
    own = layer_of(path)
    assert own in LAYERS, f"put the package '{own}' in its place in LAYERS"
    for name in imported(path):
        if name.startswith("pellucid."):
            used = name.split(".")[1]
            assert LAYERS.index(used) <= LAYERS.index(own), f"{path} imports {name}, which stands below it"


@pytest.mark.parametrize("module", ["pellucid", "pellucid.cli", *(f"pellucid.{name}" for name in WITHOUT_TORCH)])
def test_imports_without_torch(module):
    code = f"import sys, {module}; sys.exit('torch' in sys.modules or 'matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
