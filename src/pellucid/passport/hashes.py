"""Which bytes a passport speaks of: hashes of data, weights, code, config and every measured file."""

from typing import Any

from pellucid.errors import BadInput
from pellucid.files import file_hash
from pellucid.report.reading import lookup
from pellucid.report.runs import Run
from pellucid.report.words import DASH

NAMED = {
    "Weights": ("manifest", "weights.sha256"),
    "Training images": ("manifest", "data.train_sha256"),
    "Test images": ("manifest", "data.test_sha256"),
    "Measured images (their numbers)": ("measurement", "images.ids_sha256"),
    "Code that trained": ("manifest", "code_sha256"),
    "Code that measured": ("measurement", "code_sha256"),
}


def hashes(run: Run) -> dict[str, str]:
    """SHA-256 by what it is of: what the run noted, then the files as they are."""
    sources: dict[str, Any] = {"manifest": run.manifest, "measurement": run.measurement}
    noted = {label: str(lookup(sources[source], key) or DASH) for label, (source, key) in NAMED.items()}
    folder = run.path / "measurements"
    names = ["measurement.json", "accuracy.jsonl", *(f"{name}.jsonl" for name in run.attributions), "examples.npz"]
    files = [run.path / "config.yaml", run.path / "manifest.json", *(folder / name for name in sorted(names))]
    return noted | {path.relative_to(run.path).as_posix(): file_hash(path) for path in files if path.is_file()}


def weights_state(run: Run) -> str:
    """Whether the weights are still those that were measured.

    Raises
    ------
    BadInput
        If the file is there and holds other bytes.
    """
    name, noted = (
        str(run.manifest["weights"].get("file") or "weights.safetensors"),
        lookup(run.manifest, "weights.sha256"),
    )
    path = run.path / name
    if not path.is_file():
        return f"{name} is not in the folder: the hash above is what the run noted"
    if file_hash(path) != noted:
        raise BadInput(
            f"{path} is not the file that was measured: its hash differs from the manifest's; measure it again"
        )
    return f"{name} has the hash above"
