"""Attributions of Pellucid as ``captum.attr.Attribution``, for Captum's metrics and tools.

The other way, Captum's methods by name, is :func:`pellucid.attributions.captum_attribution`.
"""

from typing import Any

import torch
from torch import Tensor, nn

from pellucid.errors import BadInput
from pellucid.experiments.suite import explainer
from pellucid.integrations.extras import missing
from pellucid.integrations.image_ids import image_ids
from pellucid.modes import mode
from pellucid.types import Attribution, Image

try:
    from captum.attr import Attribution as CaptumAttribution
except ImportError as error:  # pragma: no cover
    raise missing("captum", "captum", error) from error

__all__ = ["as_captum"]


def as_captum(attribution: str, model: nn.Module, **options: Any) -> "FromPellucid":
    """An attribution of Pellucid that Captum takes for one of its own.

    Parameters
    ----------
    attribution
        A name in ``pellucid.attributions``, or a dotted path.
    model
        Images to logits [B, K]; explained in eval mode.
    options
        Of the attribution.

    Raises
    ------
    BadInput
        If the name or an option is wrong.
    """
    return FromPellucid(attribution, model, options)


class FromPellucid(CaptumAttribution):  # type: ignore[misc]
    """What :func:`as_captum` returns."""

    def __init__(self, attribution: str, model: nn.Module, options: dict[str, Any]) -> None:
        super().__init__(model)
        self.explain = explainer(attribution, options)

    def attribute(
        self, inputs: Image | tuple[Image], target: int | Tensor | None = None, additional_forward_args: None = None
    ) -> Attribution | tuple[Attribution]:
        """Signed contributions [B, C, H, W] of images in [0, 1], as a tuple where the images come in one.

        `target` is a class, one class an image [B], or None: the predicted ones. Images a little outside [0, 1], as
        perturbations make them, are explained as they are.

        Raises
        ------
        BadInput
            For several inputs or additional arguments, which a classifier of images has not.
        """
        x = inputs[0] if isinstance(inputs, tuple) else inputs
        if (isinstance(inputs, tuple) and len(inputs) != 1) or additional_forward_args is not None:
            raise BadInput("an attribution of Pellucid explains one batch of images, without additional arguments")
        with mode(self.forward_func, training=False):
            explained = self.explain.attribution(self.forward_func, x, self._classes(x, target), image_ids(x))
        return (explained,) if isinstance(inputs, tuple) else explained

    def _classes(self, x: Image, target: int | Tensor | None) -> Tensor:
        if target is None:
            with torch.no_grad():
                return self.forward_func(x).argmax(1)  # type: ignore[no-any-return]
        classes = torch.as_tensor(target, device=x.device).reshape(-1)
        return classes.expand(len(x)) if len(classes) == 1 else classes
