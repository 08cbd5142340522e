"""Data sets in memory. Every name in ``__all__`` is a loader ``f(root, split, *, options) -> Dataset``.

A new data set is one file and one import line here.
"""

from pellucid.data.block_fashion import block_fashion
from pellucid.data.cifar10 import cifar10
from pellucid.data.cub_gha import cub_gha
from pellucid.data.fashion_mnist import fashion_mnist
from pellucid.data.fashion_mnist_mini import fashion_mnist_mini
from pellucid.data.folder import folder
from pellucid.data.imagenette import imagenette

__all__ = ["block_fashion", "cifar10", "cub_gha", "fashion_mnist", "fashion_mnist_mini", "folder", "imagenette"]
