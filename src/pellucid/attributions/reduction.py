"""How a signed attribution [B, C, H, W] becomes a saliency map [B, 1, H, W]: a property of the method, declared on it.

T3S sums |∂z/∂x| over the channels for gradients, but the signed values for integrated gradients (definitions §4.0);
the two differ as soon as an image has several channels.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, TypeVar

from pellucid.errors import BadInput, unknown_name
from pellucid.types import Attribution, Saliency

Reduction = Literal["absolute", "signed"]
REDUCTIONS: tuple[Reduction, ...] = ("absolute", "signed")

Function = TypeVar("Function", bound=Callable[..., Any])


def reduces(reduction: Reduction) -> Callable[[Function], Function]:
    """Mark an attribution function with the reduction that makes its saliency map; the function itself is unchanged."""

    def mark(function: Function) -> Function:
        vars(function)["reduction"] = reduction
        return function

    return mark


def reduction_of(function: Callable[..., Any]) -> Reduction:
    """The reduction an attribution function was marked with, also through :func:`functools.partial`.

    Raises
    ------
    BadInput
        If the function was not marked with :func:`reduces`.
    """
    if isinstance(function, partial):  # never nested: partial flattens itself
        function = function.func
    marked: Reduction | None = getattr(function, "reduction", None)
    if marked is None:
        name = getattr(function, "__qualname__", repr(function))
        raise BadInput(f"{name} does not say how its saliency map is made: mark it @reduces('absolute') or ('signed')")
    return marked


def saliency_map(attribution: Attribution, reduction: Reduction) -> Saliency:
    """Sum an attribution over its channels.

    Parameters
    ----------
    attribution
        [B, C, H, W], signed.
    reduction
        ``absolute``: Σ_c |a_c|, non-negative. ``signed``: Σ_c a_c, where channels that disagree cancel.

    Returns
    -------
    Saliency
        [B, 1, H, W] in the units of the attribution; keeps its graph.
    """
    if reduction not in REDUCTIONS:
        raise unknown_name("reduction", reduction, REDUCTIONS)
    if attribution.ndim != 4:
        raise BadInput(f"an attribution must have the shape [B, C, H, W]; got {tuple(attribution.shape)}")
    return (attribution.abs() if reduction == "absolute" else attribution).sum(1, keepdim=True)
