"""The model as an object: its weights, where they lie, what hangs on them."""

from collections import Counter

import torch
from torch import nn

from pellucid.doctor.case import Case
from pellucid.doctor.findings import NotApplicable, Seen, check, in_one_line, ok, problem, warning
from pellucid.doctor.sandbox import HOOKS
from pellucid.models.probe import outputs_of

LIBRARIES = ("torch.", "pellucid.", "transformers.", "accelerate.", "timm.")
"""Whose own hooks belong to their models (weight normalisation, for instance)."""


@check(
    why="NaN weights give NaN logits, or none that anybody notices where a ReLU or a maximum hides them.",
    mend="Load the last checkpoint before training diverged.",
)
def finite_weights(case: Case) -> Seen:
    """NaN or infinite weights and statistics."""
    tensors = [*case.model.named_parameters(), *case.model.named_buffers()]
    floating = [(name, tensor) for name, tensor in tensors if tensor.is_floating_point() and not tensor.is_meta]
    bad = [name for name, tensor in floating if not bool(tensor.isfinite().all())]
    if bad:
        return problem(f"{len(bad)} of {len(floating)} tensors have NaN or infinite entries, the first is '{bad[0]}'")
    return ok(f"all {len(floating)} parameters and buffers are finite")


@check(
    why="Images are float32: double weights refuse them, half ones lose small gradients, which are most of a map.",
    mend="model.float() after loading; let torch.autocast choose half precision where it is safe.",
)
def weights_dtype(case: Case) -> Seen:
    """Weights that are not float32, or of several types."""
    kinds = Counter(str(weight.dtype).removeprefix("torch.") for weight in case.weights)
    seen = ", ".join(f"{count} tensors are {kind}" for kind, count in kinds.most_common()) or "there are no weights"
    if set(kinds) - {"float32"}:
        return problem(seen)
    if isinstance(case.output, torch.Tensor) and case.output.dtype != torch.float32:
        return warning(f"{seen}, but logits come out as {case.output.dtype}")
    return ok(seen)


@check(
    why="A pass over several devices fails or copies in every step; weights on 'meta' have no values at all.",
    mend="model.to(device) once, after loading; wrap constants by register_buffer, so that they move along.",
)
def one_device(case: Case) -> Seen:
    """Weights on several devices."""
    kinds = Counter(str(tensor.device) for tensor in (*case.model.parameters(), *case.model.buffers()))
    seen = ", ".join(f"{count} tensors on {place}" for place, count in kinds.most_common()) or "there are no weights"
    return problem(seen) if len(kinds) > 1 or "meta" in kinds else ok(seen)


@check(
    why="A forgotten hook may change outputs or gradients, and keeps every graph that it has seen in memory.",
    mend="Keep the handle of register_…_hook and call handle.remove() (with a with-block or in finally).",
)
def left_hooks(case: Case) -> Seen:
    """Hooks that somebody left on the modules."""
    named = {module: name or "the model" for name, module in case.model.named_modules()}
    places = [(m, kind) for m in named for kind in HOOKS if any(map(_foreign, getattr(m, kind).values()))]
    if not places:
        return ok("no module has hooks of its own")
    names = ", ".join(dict.fromkeys(named[module] for module, _ in places))
    seen = f"{len(places)} modules have hooks ({in_one_line(names, 80)})"
    case.require_steady()
    before = case.logits_of(case.images(4))
    for module, kind in places:
        getattr(module, kind).clear()
    if not torch.allclose(before, case.logits_of(case.images(4)), rtol=1e-4, atol=1e-8):
        return problem(f"{seen}, which change the logits")
    return warning(seen)


@check(
    why="Training leaves frozen weights as they are: objectives on gradients cannot bend the layers below.",
    mend="If it was not meant: for p in model.parameters(): p.requires_grad_(True).",
)
def frozen_parameters(case: Case) -> Seen:
    """Parameters that do not take part in training."""
    parameters = dict(case.model.named_parameters())
    frozen = [name for name, parameter in parameters.items() if not parameter.requires_grad]
    if frozen:
        return warning(f"{len(frozen)} of {len(parameters)} parameters are frozen, the first is '{frozen[0]}'")
    return ok(f"all {len(parameters)} parameters can be trained")


@check(
    why="Weights that no image reaches are never trained, and stop DistributedDataParallel with an error.",
    mend="Delete the unused layers, or give DDP find_unused_parameters=True.",
)
def unused_parameters(case: Case) -> Seen:
    """Parameters that the output does not depend on."""
    case.require_logits()
    for parameter in case.model.parameters():
        if parameter.is_floating_point():
            parameter.requires_grad_(True)
            parameter.grad = None
    with torch.enable_grad():
        logits = case.model(case.images(2))
        if not logits.requires_grad:
            return problem("no parameter is connected to the output: the forward pass runs without a graph")
        logits.square().sum().backward()
    unused = [name for name, parameter in case.model.named_parameters() if parameter.grad is None]
    seen = f"{len(unused)} of {len(list(case.model.parameters()))} parameters get no gradient"
    return warning(f"{seen}, the first is '{unused[0]}'") if unused else ok(seen)


@check(
    why="A module that is called twice has no single output: smoothing cannot go there, nor can hook-based methods.",
    mend="Give each call a module of its own where you want to smooth or to hook; gradients need no change.",
)
def modules_called_once(case: Case) -> Seen:
    """Modules that one forward pass calls several times, and tied weights."""
    case.require_logits()
    names = {module: name for name, module in case.model.named_modules()}
    calls = outputs_of(case.model, case.images(1))
    often = [f"'{names[module]}' ({len(found)})" for module, found in calls.items() if len(found) > 1]
    everywhere = [id(p) for m in case.model.modules() for p in m._parameters.values() if p is not None]
    tied = len(everywhere) - len(set(everywhere))
    if not often and not tied:
        return ok("every module is called once at most, and no weights are shared")
    called = f"{len(often)} modules are called more than once" + (f", as {often[0]}" if often else "")
    return ok(f"{called}; {tied} weights are shared between modules; Pellucid's gradients and metrics allow it")


@check(
    why="Compiled and scripted models have no double backward, nor modules to smooth or hook.",
    mend="Hand over the plain module (model._orig_mod for torch.compile), and compile it for serving only.",
)
def plain_module(case: Case) -> Seen:
    """A compiled, scripted or replicated model instead of a plain module."""
    scripted = next((m for m in case.model.modules() if isinstance(m, torch.jit.ScriptModule)), None)
    kind = type(case.wrapper or scripted or case.model).__name__
    if case.wrapper is not None and kind == "OptimizedModule":
        return warning("the model is compiled; the module inside was examined")
    if scripted is not None:
        return problem(f"the model is a {kind}")
    return ok(f"the model is a plain {kind}" if case.wrapper is None else f"the model is wrapped in {kind}")


def _foreign(hook: object) -> bool:
    origin = getattr(hook, "__module__", None) or type(hook).__module__
    return not str(origin).startswith(LIBRARIES)


def require_batchnorm(case: Case) -> list[tuple[str, nn.modules.batchnorm._BatchNorm]]:
    """The BatchNorm layers by name. Raises NotApplicable if there are none."""
    layers = [(n, m) for n, m in case.model.named_modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    if not layers:
        raise NotApplicable("the model has no BatchNorm")
    return layers
