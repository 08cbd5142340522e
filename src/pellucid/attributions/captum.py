"""A bridge to the attribution methods of Captum, by name."""

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.attributions.isolation import seeded, untouched
from pellucid.attributions.reduction import reduces
from pellucid.attributions.targets import check_target
from pellucid.errors import BadInput, unknown_name
from pellucid.gradients import describe, input_gradient, logit_of
from pellucid.types import Attribution, Image, Labels

KEEPS_GRAPH = ("InputXGradient", "IntegratedGradients", "Saliency")
"""Methods that can be differentiated once their gradient can; the others detach, or hook the backward pass."""

DRAWS = ("GradientShap", "KernelShap", "Lime", "NoiseTunnel", "ShapleyValueSampling")
"""Methods, by the end of their name, that draw random numbers for a batch as a whole."""

RESERVED = {"forward_func", "model", "layer", "device_ids", "attribution_method", "inputs", "target", "kwargs"} | {
    "additional_forward_args", "return_convergence_delta", "return_input_shape"
}  # fmt: skip
"""Parameters of Captum that are set here, or would make it take or return something else than images."""


@reduces("signed")
def captum_attribution(
    model: nn.Module,
    x: Image,
    target: Labels,
    *,
    method: str,
    layer: str | None = None,
    seed: int = 0,
    create_graph: bool = False,
    **options: Any,
) -> Attribution:
    """What Captum's `method` attributes to the images.

    Parameters
    ----------
    model, x, target
        As in :func:`~pellucid.attributions.gradient`. The model's modules get their hooks and attributes back, whether
        Captum succeeds or fails.
    method
        A class of ``captum.attr``: ``DeepLift``, ``LayerGradCam``, … Case, '-' and '_' do not matter.
    layer
        The module's name inside the model, for the methods that want one. An attribution to a layer [B, c, h, w] is
        enlarged bilinearly to the size of the images.
    seed
        For the methods that draw random numbers. Captum draws from the global generators; they are seeded for each
        image alone, so that an image gets the same draws in any batch, and are restored afterwards.
    create_graph
        Keep the graph; only for the methods in :data:`KEEPS_GRAPH`.
    options
        Further arguments of the Captum class and of its ``attribute``, such as ``n_steps`` or ``baselines``
        (a list, as a config has it, becomes a tuple); for ``NoiseTunnel`` also ``of``, the method to smooth.

    Returns
    -------
    Attribution
        [B, C, H, W] (or the layer's channels) in the units of the method. Its saliency map is the signed Σ_c.
        A method that mixes the images of a batch by definition (FeaturePermutation) depends on the batch.

    Raises
    ------
    BadInput
        If Captum is missing; if there is no such method, layer or option; if the method cannot keep its graph; if it
        returns no map.

    References
    ----------
    Kokhlikyan et al. 2020, "Captum: a unified and generic model interpretability library for PyTorch".
    """
    check_target(x, target)
    options = {name: tuple(value) if isinstance(value, list) else value for name, value in options.items()}
    explainer = _explainer(model, method, layer, options)
    name, accepted = type(explainer).__name__, _accepted(explainer)
    for option in options:
        if option not in accepted - RESERVED:
            raise unknown_name(f"option of captum's {name}", option, accepted - RESERVED)
    if create_graph:
        explainer.gradient_func = _gradient_with_graph(name)

    def explained(rows: slice) -> Tensor:
        aim = {"target": target[rows]} if "target" in accepted else {}
        with seeded(seed):
            return _as_map(_call(name, explainer.attribute, start[rows], **aim, **options), name, x)

    start = x if create_graph and x.requires_grad else x.detach().requires_grad_()
    alone = name.endswith(DRAWS) and len(x) > 1
    images = [slice(i, i + 1) for i in range(len(x))] if alone else [slice(None)]
    with untouched(model), torch.enable_grad():
        attribution = torch.cat([explained(rows) for rows in images]).to(x.dtype)  # perturbations come as float32
    return attribution if create_graph else attribution.detach()


def _explainer(model: nn.Module, method: str, layer: str | None, options: dict[str, Any]) -> Any:
    """Make the Captum object; takes the options that its class wants out of `options`."""
    kind = _find(method)
    wanted = _arguments(kind)
    if "attribution_method" in wanted:
        if "of" not in options:
            raise BadInput(f"captum's {kind.__name__} smooths another method: say which, for instance of=Saliency")
        return kind(_explainer(model, options.pop("of"), layer, options))
    if layer is not None and "layer" not in wanted:
        raise BadInput(f"captum's {kind.__name__} explains the input, not a layer: leave 'layer' out")
    place = [_module(model, layer, kind.__name__)] if "layer" in wanted else []
    made_with = {name: options.pop(name) for name in wanted - RESERVED if name in options}
    return _call(kind.__name__, kind, model, *place, **made_with)


def _call(method: str, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    try:
        inspect.signature(function).bind(*arguments, **options)
    except TypeError as error:
        raise BadInput(f"captum's {method}: {error}") from error  # "missing a required argument: …"
    return function(*arguments, **options)


def _find(method: str) -> Any:
    """The class of ``captum.attr`` with this name, among those that explain tensors (and not, say, text)."""
    try:
        from captum import attr  # noqa: PLC0415  (optional, and slow to import)
    except ImportError as error:
        raise BadInput("this attribution needs Captum: pip install pellucid[captum]") from error
    methods = {name: getattr(attr, name) for name in attr.__all__ if "inputs" in _attribute_arguments(attr, name)}
    for name, kind in methods.items():
        if _plain(name) == _plain(method):
            return kind
    raise unknown_name("captum method", method, methods)


def _attribute_arguments(attr: Any, name: str) -> set[str]:
    return _arguments(getattr(getattr(attr, name), "attribute", None))


def _plain(name: str) -> str:
    return name.replace("-", "").replace("_", "").lower()


def _arguments(function: Callable[..., Any] | None) -> set[str]:
    return set() if function is None else set(inspect.signature(function).parameters)


def _accepted(explainer: Any) -> set[str]:
    """The names that ``attribute`` takes, its own and those it hands on to the method inside."""
    inner = getattr(explainer, "attribution_method", None)
    return _arguments(explainer.attribute) | (set() if inner is None else _accepted(inner))


def _module(model: nn.Module, layer: str | None, method: str) -> nn.Module:
    modules: dict[str, nn.Module] = {name: module for name, module in model.named_modules() if name}
    if layer is None:
        raise BadInput(f"captum's {method} needs the name of a layer; there are: {', '.join(modules)}")
    if layer not in modules:
        raise unknown_name("layer", layer, modules)
    return modules[layer]


def _gradient_with_graph(method: str) -> Callable[..., tuple[Tensor]]:
    """What to put in the place of Captum's own gradient, which cannot be differentiated again."""
    if method not in KEEPS_GRAPH:
        raise BadInput(
            f"captum's {method} cannot keep its graph, so it cannot be trained on; "
            f"{', '.join(KEEPS_GRAPH)} and all other attributions of pellucid can"
        )

    # Captum calls it with these names.
    def gradient(
        forward_fn: nn.Module, inputs: tuple[Tensor, ...], target_ind: Labels, additional_forward_args: None = None
    ) -> tuple[Tensor]:
        assert additional_forward_args is None
        return (input_gradient(forward_fn, inputs[0], logit_of(target_ind), create_graph=True)[1],)

    return gradient


def _as_map(attribution: object, method: str, x: Image) -> Attribution:
    if not isinstance(attribution, Tensor) or attribution.ndim != 4:
        raise BadInput(
            f"captum's {method} returned {describe(attribution)}, not a map [B, C, H, W]: choose another layer"
        )
    if attribution.shape[2:] == x.shape[2:]:
        return attribution
    return nn.functional.interpolate(attribution, size=x.shape[2:], mode="bilinear", align_corners=False)
