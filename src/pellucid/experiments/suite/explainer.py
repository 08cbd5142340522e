"""An attribution with its options, as the suite calls it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from inspect import signature
from typing import Any

from torch import Tensor, nn

from pellucid import attributions
from pellucid.attributions.reduction import reduction_of, saliency_map
from pellucid.naming import find, options_of
from pellucid.randomness import normal_per_image
from pellucid.types import Image, Labels, Saliency


@dataclass(frozen=True)
class Explainer:
    """An attribution with its options, and the way its saliency map is made.

    Attributes
    ----------
    draws
        Noisy copies per image, for attributions that take a ``noise`` tensor (SmoothGrad); else 0.
    """

    name: str
    function: Callable[..., Tensor]
    options: dict[str, Any]
    draws: int = 0

    @property
    def shown(self) -> dict[str, Any]:
        """The options that a reader of the numbers needs."""
        kept = {
            key: value for key, value in self.options.items() if key != "chunk" and isinstance(value, int | float | str)
        }
        return kept | ({"draws": self.draws} if self.draws else {})

    def within(self, chunk: int) -> "Explainer":
        """The same with at most `chunk` images a pass, where the attribution makes several passes an image."""
        if "chunk" not in signature(self.function).parameters:
            return self
        return replace(self, options=self.options | {"chunk": min(chunk, self.options.get("chunk") or chunk)})

    def attribution(self, model: nn.Module, x: Image, target: Labels, ids: Sequence[int]) -> Tensor:
        """[B, C, H, W], signed; `ids` name the images, for per-image noise."""
        noise = {}
        if self.draws:
            noise["noise"] = normal_per_image(ids, (self.draws, *x.shape[1:]), seed=0, stream=self.name).to(x)
        return self.function(model, x, target, **self.options, **noise)

    def __call__(self, model: nn.Module, x: Image, target: Labels, ids: Sequence[int]) -> Saliency:
        """[B, 1, H, W]."""
        return saliency_map(self.attribution(model, x, target, ids), reduction_of(self.function))


NOISE_OPTIONS: dict[str, dict[str, Any]] = {"smooth_grad": {"sigma": 0.15, "draws": 16}}
"""SmoothGrad's own advice: noise of 10 to 20 % of the pixel range (Smilkov et al. 2017). Others take one draw."""


def explainer(name: str, options: dict[str, Any] | None = None) -> Explainer:
    """The attribution called `name` with checked options (``draws`` is one where the attribution takes noise)."""
    function = find(attributions, name, "attribution")
    given = dict(options or {})
    draws = 0
    if "noise" in signature(function).parameters:
        given = NOISE_OPTIONS.get(function.__name__, {"draws": 1}) | given
        draws = given.pop("draws")
    checked = options_of(function, given, where=f"attribution '{name}'", supplied={"create_graph", "noise"})
    return Explainer(function.__name__, function, checked, draws)
