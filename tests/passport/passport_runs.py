"""Synthetic runs whose manifest has the hash of their weights file, as a real one has."""

import hashlib
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "report"))

from fake_runs import write_run


def made(path, arm="G", **options):
    """A measured run at `path`."""
    write_run(path, arm, compared=(arm,), **options)
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["weights"]["sha256"] = hashlib.sha256((path / "weights.safetensors").read_bytes()).hexdigest()
    (path / "manifest.json").write_text(json.dumps(manifest))
    return path
