"""Regularisers: ``f(model, x, y, *, generator, …) -> [B]``, a differentiable value per image that training keeps small.

A weight times their mean is added to the loss of any objective: in a config under ``regularisers``, in a loop of your
own with :func:`~pellucid.regularisers.composition.regularised`. A new one is one file and one import line here.
"""

from pellucid.regularisers.gradient_density import gradient_density, sparse_misalignment
from pellucid.regularisers.misalignment import misalignment, neighbour_misalignment, relative_misalignment
from pellucid.regularisers.spectral_norm import spectral_norm

__all__ = [
    "gradient_density",
    "misalignment",
    "neighbour_misalignment",
    "relative_misalignment",
    "sparse_misalignment",
    "spectral_norm",
]
