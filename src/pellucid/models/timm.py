"""Networks of timm (PyTorch Image Models): an extra."""

from difflib import get_close_matches
from typing import Any

from torch import nn

from pellucid.errors import BadInput
from pellucid.models.adapting import adapted, start_of_head
from pellucid.models.checks import check_shape
from pellucid.models.extras import model_library, one_line, refused_option


def timm(
    *,
    channels: int,
    classes: int,
    image_size: int,
    architecture: str,
    pretrained: bool = False,
    **options: Any,
) -> nn.Module:
    """A network of timm with random weights, or with the published ones.

    It goes through :func:`pellucid.models.adapting.adapted`; ``own_normalisation`` is that of its published weights.

    Parameters
    ----------
    channels, classes, image_size
        Of the data. Architectures whose size is fixed when they are built (vision transformers) are built for
        `image_size`; timm adapts published weights to all three.
    architecture
        A name in ``timm.list_models()``, with or without the tag of its weights.
    pretrained
        Fetch the published weights, from timm's cache or the network.
    **options
        timm's own, such as ``drop_rate``, ``depth`` or ``embed_dim``.

    Raises
    ------
    BadInput
        If the extra is missing, the architecture or an option unknown, the images do not suit, or the weights cannot be
        had.
    """
    library, what = model_library("timm", "a timm model"), f"model 'timm:{architecture}'"
    check_shape(what, channels=channels, classes=classes, image_size=image_size, smallest=1)
    if not architecture.startswith(("hf-hub:", "hf_hub:", "local-dir:")) and not library.is_model(architecture):
        close = get_close_matches(architecture, library.list_models(), n=1)
        hint = f"did you mean '{close[0]}'? " if close else ""
        raise BadInput(f"timm has no architecture '{architecture}': {hint}timm.list_models() names them all")
    given = {"pretrained": pretrained, "num_classes": classes, "in_chans": channels, **options}
    network = _created(library, architecture, given, image_size, what)
    published = getattr(network, "pretrained_cfg", None) or {}
    if published.get("mean") is not None:
        network.own_normalisation = (tuple(published["mean"]), tuple(published["std"]))
    network.head_is_new = not pretrained or published.get("num_classes") != classes
    if not pretrained:
        start_of_head(network, classes)
    return adapted(network, what, channels=channels, classes=classes, image_size=image_size)


def _created(library: Any, architecture: str, given: dict[str, Any], image_size: int, what: str) -> Any:
    """The network, for images of that size where it wants to know it."""
    try:
        try:
            return library.create_model(architecture, img_size=image_size, **given)
        except TypeError as error:
            if "img_size" not in str(error):
                raise
            return library.create_model(architecture, **given)
    except TypeError as error:
        raise refused_option(what, error) from error
    except Exception as error:
        if given["pretrained"]:
            raise BadInput(f"the published weights of {what} cannot be had: {one_line(error)}") from error
        raise BadInput(f"{what} cannot be built: {one_line(error)}") from error
