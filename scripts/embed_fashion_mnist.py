"""Make src/pellucid/data/embedded/fashion-mnist-mini.npz from the idx files of Fashion-MNIST.

    python scripts/embed_fashion_mnist.py [FOLDER]

FOLDER holds the four idx files; the default is where Debian's package dataset-fashion-mnist puts them. Prints the
SHA-256 to write into src/pellucid/data/fashion_mnist_mini.py. The same zlib gives the same bytes; another one may give
another SHA-256 for the same arrays.
"""

import hashlib
import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pellucid.data.dataset import Split
from pellucid.data.fashion_mnist import CLASSES, DEBIAN, fashion_mnist
from pellucid.files import write_atomic
from pellucid.randomness import generator

PER_CLASS: dict[Split, int] = {"train": 1000, "test": 200}
SEED = 0
TARGET = Path(__file__).parents[1] / "src/pellucid/data/embedded/fashion-mnist-mini.npz"


def balanced_draw(labels: torch.Tensor, per_class: int, split: str) -> torch.Tensor:
    """Positions of `per_class` images of each class, drawn without replacement, in the original order."""
    random = generator("fashion-mnist-mini", split, SEED)
    shuffled = torch.randperm(len(labels), generator=random)
    chosen = [shuffled[labels[shuffled] == label][:per_class] for label in range(len(CLASSES))]
    return torch.cat(chosen).sort().values


def build(folder: Path) -> bytes:
    """The bytes of the .npz file: images uint8, labels uint8 and original indices int32 of both splits."""
    arrays: dict[str, Any] = {}
    for split, per_class in PER_CLASS.items():
        full = fashion_mnist(folder, split)
        positions = balanced_draw(full.labels, per_class, split)
        arrays[f"{split}_images"] = full.images[positions, 0].numpy()
        arrays[f"{split}_labels"] = full.labels[positions].numpy().astype(np.uint8)
        arrays[f"{split}_original_indices"] = positions.numpy().astype(np.int32)
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


if __name__ == "__main__":
    content = build(Path(sys.argv[1]) if len(sys.argv) > 1 else DEBIAN)
    write_atomic(TARGET, content)
    print(f"{TARGET}: {len(content):,} bytes, SHA-256 {hashlib.sha256(content).hexdigest()}")
