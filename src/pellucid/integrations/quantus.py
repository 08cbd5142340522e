"""An ``explain_func`` for Quantus: every attribution of Pellucid, from arrays to arrays. Needs no Quantus itself."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from pellucid.errors import BadInput
from pellucid.experiments.suite import explainer
from pellucid.gradients import describe
from pellucid.integrations.image_ids import image_ids
from pellucid.modes import mode
from pellucid.types import check_images

__all__ = ["explain_func"]


def explain_func(
    model: nn.Module,
    inputs: npt.ArrayLike,
    targets: npt.ArrayLike,
    *,
    attribution: str = "gradient",
    device: str | torch.device | None = None,
    **options: Any,
) -> npt.NDArray[np.float32]:
    """Saliency maps for Quantus, as in ``quantus.Sparseness()(…, explain_func=explain_func)``.

    Parameters
    ----------
    model
        Images to logits [B, K], with normalisation as its first layer; in eval mode meanwhile.
    inputs
        Images [B, C, H, W] with pixels in [0, 1] (Quantus hands on the `x_batch` of its caller).
    targets
        Class indices [B].
    attribution
        A name in ``pellucid.attributions``: ``explain_func_kwargs={"attribution": "smooth_grad", "draws": 8}``.
    device
        Where to compute; where the model is if absent. Quantus passes its own.
    options
        Of the attribution. Noise, where one draws any, depends on an image's pixels alone.

    Returns
    -------
    numpy.ndarray
        [B, 1, H, W] float32.

    Raises
    ------
    BadInput
        If the model is no ``nn.Module``, or images, labels, attribution or options cannot be used.
    """
    if not isinstance(model, nn.Module):
        raise BadInput(f"explain_func explains a torch.nn.Module; got {describe(model)}")
    explain = explainer(attribution, options)
    weight = next(iter(model.parameters()), torch.zeros(()))
    where = weight.device if device is None else torch.device(device)
    x = torch.as_tensor(np.asarray(inputs), dtype=weight.dtype, device=where)
    y = torch.as_tensor(np.asarray(targets), dtype=torch.int64, device=where).reshape(-1)
    check_images(x, y)
    network = model.to(where)
    with mode(network, training=False):
        maps = explain(network, x, y, image_ids(x))
    return maps.detach().float().cpu().numpy()
