"""Any model by one word: pixels in, logits out."""

from pathlib import Path

import torch
from torch import Tensor, nn

from pellucid.errors import BadInput
from pellucid.models.architectures import build_network, is_library, model_options, spelled_out
from pellucid.models.hugging_face import is_folder, published_weights
from pellucid.models.initialisation import initialised
from pellucid.models.normalised import fitted, normalised, own_normalisation
from pellucid.models.weights import (
    BLOCK,
    IN_A_FOLDER,
    MEAN,
    STD,
    load_start,
    read_weights,
    weights_file,
    without_normalisation,
)

PRETRAINED = "pretrained"


def open_model(
    spec: str, *, channels: int, classes: int, image_size: int, weights: str | Path | None = None
) -> nn.Module:
    """The model that `spec` names, in eval mode, with normalisation as its first layer.

    Parameters
    ----------
    spec
        ``timm:resnet18``, ``torchvision:efficientnet_b0``, ``hf:google/vit-base-patch16-224`` or ``hf:<folder>``, a
        name in ``pellucid.models``, or a dotted path to a class or function (``my_package.nets.Net``). A folder brings
        its weights along.
    channels, classes, image_size
        Of the data.
    weights
        A file or run directory (:func:`pellucid.models.weights.read_weights`); "pretrained" for a library's published
        weights, the only case in which the network is used; None for random weights, always the same ones.

    Returns
    -------
    nn.Module
        Images [B, C, H, W] in [0, 1] to logits [B, K]. It normalises as its weights say, else as its library's
        published weights do, else not at all.

    Raises
    ------
    BadInput
        If the model, its library or its weights cannot be had, or do not suit these data.
    """
    named = spelled_out(spec)
    options = {key: value for key, value in named.items() if key != "name"}
    folder = Path(options.get("architecture", ""))
    if weights is None and named["name"] == "hugging_face" and (folder / IN_A_FOLDER[-1]).is_file():
        weights = folder
    if weights == PRETRAINED:
        if not is_library(named["name"]):
            raise BadInput(f"'{spec}' has no published weights; give a file or a run directory")
        options["pretrained"] = True  # type: ignore[assignment]
        weights = None
    tensors = weights_of(Path(weights)) if weights is not None else {}
    if any(BLOCK in name for name in tensors):
        raise BadInput(f"{weights} holds a SmoothBlock, which '{spec}' has not; name the run directory instead")

    def build() -> nn.Module:
        checked = model_options(named["name"], options)
        return build_network(named["name"], checked, channels=channels, classes=classes, image_size=image_size)

    network = initialised(build, 0)
    mean, std = (0.0,) * channels, (1.0,) * channels
    if MEAN in tensors and STD in tensors:
        mean, std = fitted((tensors[MEAN].flatten().tolist(), tensors[STD].flatten().tolist()), channels)
    elif getattr(network, "own_normalisation", None) is not None:
        mean, std = fitted(own_normalisation(network), channels)
    if tensors:
        load_start(network, without_normalisation(tensors), what=str(weights))
    with torch.no_grad():
        return normalised(network, mean, std).eval()


def weights_of(path: Path) -> dict[str, Tensor]:
    """The tensors of a file or of a run directory, or those of a Hugging Face folder by their present names.

    Raises
    ------
    BadInput
        As :func:`pellucid.models.weights.read_weights`.
    """
    file = weights_file(path)
    return published_weights(str(file)) if is_folder(file) else read_weights(file)
