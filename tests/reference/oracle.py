"""Quantus 0.5.3 as an oracle for parity tests, in its own environment and process.

1. Make the environment once with scripts/reference_environment.sh, or set PELLUCID_REFERENCE_PYTHON to its interpreter.
2. In a test take the fixture `quantus` (tests/metrics/conftest.py) and call a function of quantus_oracle.py by name.
3. Arguments and answers are NumPy arrays, e.g. `quantus("sparseness", attributions=maps)["scores"]`.
4. Without the environment the test is skipped and says how to make it; an error in Quantus raises OracleError.
5. The process starts once for a test run (about 3 s); numbers travel as .npz files, so none loses a bit.
"""

import atexit
import functools
import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]


class OracleError(RuntimeError):
    """What Quantus said when it failed."""


def reference_python() -> Path | None:
    """The interpreter of the reference environment, or None where there is none."""
    python = Path(os.environ.get("PELLUCID_REFERENCE_PYTHON", ROOT / ".venv-reference" / "bin" / "python"))
    return python if python.exists() else None


class Quantus:
    """A running reference process; calling it with a function's name and arrays returns that function's arrays."""

    def __init__(self, python: Path) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.process = subprocess.Popen(
            [python, Path(__file__).with_name("quantus_oracle.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # One thread, as in every benchmark of this project that does not say otherwise.
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": ""},
        )
        atexit.register(self.close)

    def __call__(self, function: str, **arrays: np.ndarray | float) -> Mapping[str, np.ndarray]:
        source, target = (Path(self.folder.name) / name for name in ("in.npz", "out.npz"))
        np.savez(source, **arrays)
        self.process.stdin.write(f"{function}\t{source}\t{target}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        if answer != "ok":
            raise OracleError(f"{function}: {answer or 'the reference process died'}")
        with np.load(target, allow_pickle=False) as result:
            return dict(result)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.stdin.close()
            self.process.wait(timeout=10)
        self.folder.cleanup()


@functools.cache
def quantus() -> Quantus | None:
    """The one reference process of this test run, or None where the environment is missing."""
    python = reference_python()
    return Quantus(python) if python else None
