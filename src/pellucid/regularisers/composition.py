"""An objective and regularisers added up."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from pellucid.errors import BadInput
from pellucid.types import Image, Labels, Loss

Regulariser = Callable[..., Tensor]
"""``f(model, x, y, generator=…) -> [B]`` with its options bound."""


def regularised(objective: Callable[..., Loss], terms: Mapping[str, tuple[float, Regulariser]]) -> Callable[..., Loss]:
    """The objective plus, for each term, its weight times its mean over the batch.

    ``regularised(partial(adversarial, eps=0.1), {"misalignment": (5.0, misalignment)})`` is an objective again.

    Parameters
    ----------
    terms
        Weight and regulariser by name. A term of weight 0 is not computed.

    Returns
    -------
    An objective whose parts are those of the objective, and the unweighted mean of each term by its name.

    Raises
    ------
    BadInput
        If a weight is not a finite number ≥ 0: below 0 it would ask for what the term stands against. When called, if
        the objective or a regulariser returns something else than it should, as one in the other's place does.
    """
    for name, (weight, _) in terms.items():
        if not 0 <= weight < float("inf"):
            raise BadInput(f"the weight of {name} must be a finite number ≥ 0; got {weight}")

    def combined(model: nn.Module, x: Image, y: Labels, *, generator: torch.Generator, **inputs: Tensor) -> Loss:
        loss = objective(model, x, y, generator=generator, **inputs)  # first: it may update BatchNorm's statistics
        _check_loss(loss, objective)
        total, parts = loss.total, dict(loss.parts)
        for name, (weight, regulariser) in terms.items():
            if weight:
                values = regulariser(model, x, y, generator=generator)
                _check_values(values, name, len(x))
                value = values.mean()
                total, parts[name] = total + weight * value, value.detach()
        return Loss(total, parts)

    vars(combined)["__wrapped__"] = objective  # so that its signature shows whether the objective takes attention maps
    return combined


def _check_loss(loss: object, objective: Callable[..., Loss]) -> None:
    if not isinstance(loss, Loss):
        function = getattr(objective, "func", objective)
        name = getattr(function, "__name__", type(function).__name__)
        raise BadInput(f"an objective must return a pellucid.types.Loss; '{name}' returned a {type(loss).__name__}")


def _check_values(values: object, name: str, images: int) -> None:
    if not isinstance(values, Tensor) or values.shape != (images,):
        seen = f" {list(values.shape)}" if isinstance(values, Tensor) else ""
        raise BadInput(
            f"the regulariser '{name}' must return one number per image, a Tensor [{images}]; "
            f"it returned a {type(values).__name__}{seen}"
        )
