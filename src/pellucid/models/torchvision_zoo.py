"""Networks of torchvision, by name."""

from difflib import get_close_matches
from typing import Any

import torchvision as library
from torch import Tensor, nn
from torchvision.models.vision_transformer import interpolate_embeddings

from pellucid.errors import BadInput
from pellucid.models.adapting import adapted, start_of_head
from pellucid.models.checks import check_shape
from pellucid.models.extras import one_line, refused_option
from pellucid.models.initialisation import kaiming
from pellucid.models.weights import load_start

WITH_AUXILIARY_HEADS = ("googlenet", "inception_v3")
AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")


def torchvision(
    *,
    channels: int,
    classes: int,
    image_size: int,
    architecture: str,
    pretrained: bool = False,
    **options: Any,
) -> nn.Module:
    """A classifier of torchvision with random weights, or with its best published ones.

    It goes through :func:`pellucid.models.adapting.adapted`. Auxiliary heads (GoogLeNet, Inception) are left out. For
    other than three channels the first convolution is replaced: by He's random weights, or, with published weights, by
    their sum over the colours. Its ``own_normalisation`` is that of its published weights.

    Parameters
    ----------
    channels, classes, image_size
        Of the data. Vision transformers (``vit_…``) are built for `image_size`; their patch must divide it.
    architecture
        A name in ``torchvision.models.list_models(torchvision.models)``.
    pretrained
        Fetch the published weights, from torch's cache or the network; a head for other classes is new.
    **options
        torchvision's own, such as ``dropout``.

    Raises
    ------
    BadInput
        If the architecture or an option is unknown, the images do not suit, or the weights cannot be had.
    """
    what = f"model 'torchvision:{architecture}'"
    check_shape(what, channels=channels, classes=classes, image_size=image_size, smallest=1)
    known = library.models.list_models(module=library.models)
    if architecture not in known:
        close = get_close_matches(architecture, known, n=1)
        hint = f"did you mean '{close[0]}'? " if close else ""
        raise BadInput(
            f"torchvision has no classifier '{architecture}': {hint}torchvision.models.list_models() names them all"
        )
    published = library.models.get_model_weights(architecture).DEFAULT
    given = {"num_classes": classes, **options}
    if architecture.startswith("vit_"):
        given["image_size"] = image_size
    if architecture in WITH_AUXILIARY_HEADS:
        given |= {"aux_logits": False, "init_weights": False, "transform_input": pretrained and channels == 3}
    network = _created(architecture, given, what)
    if channels != 3:
        _replace_first_convolution(network, channels)
    transforms = published.transforms()
    network.own_normalisation = (tuple(transforms.mean), tuple(transforms.std))
    network.head_is_new = True
    if pretrained:
        network.head_is_new = (
            load_start(network, _fetched(network, published, image_size, what), what=what).head == "new"
        )
    else:
        start_of_head(network, classes)
    return adapted(network, what, channels=channels, classes=classes, image_size=image_size)


def _created(architecture: str, given: dict[str, Any], what: str) -> Any:
    try:
        return library.models.get_model(architecture, weights=None, **given)
    except TypeError as error:
        raise refused_option(what, error) from error
    except (ValueError, RuntimeError, AssertionError) as error:
        raise BadInput(f"{what} cannot be built: {one_line(error)}") from error


def _fetched(network: Any, published: Any, image_size: int, what: str) -> dict[str, Tensor]:
    """The published weights, for this image size, without auxiliary heads."""
    try:
        tensors = published.get_state_dict(progress=False, check_hash=True)
    except Exception as error:
        raise BadInput(f"the published weights of {what} cannot be had: {one_line(error)}") from error
    tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith(AUXILIARY)}
    if "encoder.pos_embedding" in tensors:
        tensors = dict(interpolate_embeddings(image_size, network.patch_size, tensors))
    return tensors


def _replace_first_convolution(network: nn.Module, channels: int) -> None:
    """A convolution for other channels in place of the first, with He's weights as in T3S's residual networks."""
    name, old = next(
        (name, m) for name, m in network.named_modules() if isinstance(m, nn.Conv2d) and m.in_channels == 3
    )
    new = nn.Conv2d(
        channels,
        old.out_channels,
        old.kernel_size,  # type: ignore[arg-type]
        old.stride,  # type: ignore[arg-type]
        old.padding,  # type: ignore[arg-type]
        bias=old.bias is not None,
    )
    kaiming(new)
    parent, _, child = name.rpartition(".")
    network.get_submodule(parent).register_module(child, new)
