"""The neighbours (Quantus, Captum, torchattacks, pytorch-grad-cam, kornia) in their own environment and process."""

import atexit
import copy
import functools
import itertools
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from torch import nn

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "reference"))

import oracle  # noqa: E402  the same protocol as the parity tests: arrays travel as .npz files

WORKER = Path(__file__).with_name("neighbour_worker.py")


class Neighbours(oracle.Quantus):
    """Calling it with the name of a function of neighbour_worker.py and arrays returns that function's arrays."""

    def __init__(self, python: Path, threads: int, device: str) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.numbers = itertools.count()
        counts = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
        self.process = subprocess.Popen(
            [python, "-P", WORKER, str(threads), device],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **counts, "PYTHONPATH": ""},
        )
        atexit.register(self.close)

    def close(self) -> None:
        """End the process; it has nothing to finish, and importing may keep it from noticing that its input closed."""
        self.process.terminate()
        super().close()

    def versions(self) -> dict[str, str]:
        """Of the packages that are compared with."""
        return {name: str(version) for name, version in self("versions").items()}

    def file_of(self, model: nn.Sequential) -> str:
        """The model as a file that the other process can read: its layers, which are all torch's own."""
        path = Path(self.folder.name) / f"model-{next(self.numbers)}.pt"
        torch.save(nn.Sequential(*copy.deepcopy(model).cpu()), path)
        return str(path)


@functools.cache
def neighbours(threads: int, device: str) -> Neighbours:
    """The one process of the neighbours; their environment is made if it is not there yet (about a minute)."""
    script, environment = ROOT / "scripts" / "neighbour_environment.sh", ROOT / ".venv-neighbours"
    command = ["bash", str(script), str(environment)]
    subprocess.run(command, check=True, env={**os.environ, "PYTHON": sys.executable}, stdout=sys.stderr)
    return Neighbours(environment / "bin" / "python", threads, device)
