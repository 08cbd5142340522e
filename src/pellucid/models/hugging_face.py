"""Image classifiers of Hugging Face's transformers: an extra."""

import inspect
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from pellucid.errors import BadInput, unknown_name
from pellucid.files import read_json
from pellucid.models.adapting import adapted
from pellucid.models.checks import check_shape
from pellucid.models.extras import model_library, one_line
from pellucid.models.weights import load_start

CONFIG, PREPROCESSING = "config.json", "preprocessor_config.json"
CHANNELS = ("num_channels", "in_channels")
"""How configs call the number of channels."""
RESCALED = 1 / 255


def hugging_face(
    *,
    channels: int,
    classes: int,
    image_size: int,
    architecture: str,
    pretrained: bool = False,
    **options: Any,
) -> nn.Module:
    """An image classifier of transformers with random weights, or with the published ones.

    It goes through :func:`pellucid.models.adapting.adapted`; attention is computed by its formula, in plain PyTorch
    ("eager"). Its ``own_normalisation`` is that of the preprocessor's config, where there is one.

    Parameters
    ----------
    channels, classes, image_size
        Of the data. A network made from options is built for `image_size`; one of the hub or a folder keeps its own
        size and interpolates its position embeddings where it can.
    architecture
        A model type of transformers ("vit", "convnext", …), made from `options`; the name of a model on the hub; or
        a folder with its ``config.json``.
    pretrained
        Load the published weights: from the folder, from the cache of the hub, or from the network. Without it nothing
        is fetched, so a model of the hub must be in the cache.
    **options
        Keys of the config, such as ``hidden_size``.

    Raises
    ------
    BadInput
        If the extra is missing, the architecture or an option unknown, the images do not suit, or config or weights
        cannot be had.
    """
    library, what = _library(), f"model 'hf:{architecture}'"
    check_shape(what, channels=channels, classes=classes, image_size=image_size, smallest=1)
    if made := architecture in library.CONFIG_MAPPING:
        config = _from_options(library, architecture, options)
    else:
        config = _published(library, architecture, options, fetch=pretrained)
    for word in CHANNELS:
        if hasattr(config, word):
            setattr(config, word, channels)
    if made and hasattr(config, "image_size"):
        config.image_size = image_size
    config.num_labels = classes
    try:
        network = library.AutoModelForImageClassification.from_config(config, attn_implementation="eager")
    except Exception as error:
        raise BadInput(f"{what} cannot be built: {one_line(error)}") from error
    network.head_is_new = True
    if pretrained:
        network.head_is_new = load_start(network, published_weights(architecture), what=what).head == "new"
    if not made:
        network.own_normalisation = _normalisation(library, architecture, fetch=pretrained)
        _interpolate(network, getattr(config, "image_size", image_size), image_size)
    return adapted(network, what, channels=channels, classes=classes, image_size=image_size)


def is_folder(path: Path) -> bool:
    """Whether a path is a folder that ``save_pretrained`` wrote, or the weights in one."""
    config = (path if path.is_dir() else path.parent) / CONFIG
    return config.is_file() and "model_type" in read_json(config)


def published_weights(architecture: str) -> dict[str, Tensor]:
    """The weights of a model on the hub or in a folder, by the names that this version of transformers has for them.

    Raises
    ------
    BadInput
        If they cannot be had as safetensors, or some are missing.
    """
    library = _library()
    place = str(Path(architecture).parent) if Path(architecture).is_file() else architecture
    try:
        network, found = library.AutoModelForImageClassification.from_pretrained(
            place, use_safetensors=True, output_loading_info=True, local_files_only=Path(place).exists()
        )
    except Exception as error:
        raise BadInput(f"the published weights of 'hf:{architecture}' cannot be had: {one_line(error)}") from error
    if found["missing_keys"]:
        names = ", ".join(sorted(found["missing_keys"])[:3])
        raise BadInput(f"the weights of 'hf:{architecture}' are incomplete: missing {names}; is it a classifier?")
    return dict(network.state_dict())


def _library() -> Any:
    library = model_library("transformers", "a Hugging Face model")
    library.utils.logging.disable_progress_bar()
    return library


def _from_options(library: Any, model_type: str, options: dict[str, Any]) -> Any:
    """The config of a model type with the given keys, which must be among its own."""
    known = library.AutoConfig.for_model(model_type)
    _check_keys(known, options, model_type)
    try:
        return library.AutoConfig.for_model(model_type, **options)
    except Exception as error:
        raise BadInput(f"model 'hf:{model_type}': {one_line(error)}") from error


def _published(library: Any, architecture: str, options: dict[str, Any], *, fetch: bool) -> Any:
    """The config of a model on the hub, in a folder, or in a file."""
    try:
        if Path(architecture).is_file():
            keys = read_json(Path(architecture))
            config = library.AutoConfig.for_model(keys.pop("model_type"), **keys)
        else:
            config = library.AutoConfig.from_pretrained(
                architecture, local_files_only=not fetch or Path(architecture).exists()
            )
    except Exception as error:
        near = get_close_matches(architecture, library.CONFIG_MAPPING.keys(), n=1)
        hint = f" (did you mean '{near[0]}'?)" if near else ""
        ways = one_line(error) if fetch else "set pretrained: true to fetch it from the hub, or give a folder"
        raise BadInput(
            f"transformers has no model type '{architecture}'{hint}, and the config of a model of that name is not on "
            f"this machine: {ways}"
        ) from error
    _check_keys(config, options, architecture)
    for key, value in options.items():
        setattr(config, key, value)
    return config


def _check_keys(config: Any, options: dict[str, Any], name: str) -> None:
    known = set(config.to_dict()) | set(getattr(config, "attribute_map", {}))
    for key in options:
        if key not in known:
            raise unknown_name(f"option of model 'hf:{name}'", key, known)


def _normalisation(library: Any, architecture: str, *, fetch: bool) -> Any:
    """Mean and standard deviation of the preprocessor, or the reason why they cannot be used; None without one."""
    place = Path(architecture)
    try:
        if (place.is_dir() and not (place / PREPROCESSING).is_file()) or place.is_file():
            return None
        local = place.exists() or not fetch
        keys = library.AutoImageProcessor.from_pretrained(architecture, local_files_only=local).to_dict()
    except Exception as error:
        return (
            f"the preprocessor of 'hf:{architecture}' cannot be had ({one_line(error)}); write normalise: mean and std"
        )
    factor = keys.get("rescale_factor") or RESCALED
    if keys.get("do_rescale") is False or abs(factor / RESCALED - 1) > 1e-3 or keys.get("offset"):
        return (
            f"the preprocessor of 'hf:{architecture}' does not scale pixels from 0 … 255 to 0 … 1 (do_rescale "
            f"{keys.get('do_rescale')}, rescale_factor {factor:g}); write normalise: mean and std, for pixels in [0, 1]"
        )
    if keys.get("do_normalize") is False:
        return (0.0,), (1.0,)
    mean, std = keys.get("image_mean"), keys.get("image_std")
    return None if mean is None or std is None else (tuple(mean), tuple(std))


def _interpolate(network: Any, built_for: Any, image_size: int) -> None:
    """Have position embeddings interpolated for images of another size than the network was built for."""
    sides = set(built_for) if isinstance(built_for, list | tuple) else {built_for}
    if sides != {image_size} and "interpolate_pos_encoding" in inspect.signature(network.forward).parameters:
        network.register_forward_pre_hook(_interpolating, with_kwargs=True)


def _interpolating(_: nn.Module, inputs: Any, keywords: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    return inputs, keywords | {"interpolate_pos_encoding": True}
