"""What a config asks for, or will cost."""

import math

import torch
from torch import Tensor

from pellucid.attacks import ball
from pellucid.doctor.case import Case
from pellucid.doctor.findings import NotApplicable, Seen, check, ok, problem, warning
from pellucid.errors import BadInput
from pellucid.models.probe import outputs_of
from pellucid.models.smoothing import Smoothed, insert_smoothing

BYTE = 1 / 255
NOTHING = 0.02
"""Share of the margin between two classes below which an attack that changes no prediction has done nothing."""


@check(
    why="ε is in units of pixels in [0, 1]: 8 instead of 8/255 is no attack that anybody would call small.",
    mend="Divide by 255 (8/255 = 0.0314) if it is in bytes; by nothing if pixels were normalised, but say so.",
)
def eps_units(case: Case) -> Seen:
    """An ε in other units than pixels, or below what a byte can show."""
    if case.eps is None:
        raise NotApplicable("no ε was given")
    eps, entries = case.eps, case.test.images[0].numel()
    seen = f"ε = {eps:.4g} in {case.norm}"
    most = 1.0 if case.norm == "linf" else math.sqrt(entries)
    if eps > most:
        return problem(f"{seen} is beyond the largest distance of two images, {most:.4g}")
    if case.norm == "linf" and eps >= 0.5:
        return warning(f"{seen} lets every image become uniform grey")
    if case.norm == "linf" and 0 < eps < 0.99 * BYTE:
        return warning(f"{seen} is less than one step of a byte, 1/255 = {BYTE:.4g}", "Use 1/255 or more.")
    return ok(seen)


@check(
    why="Robust accuracy at an ε that changes nothing is clean accuracy under another name.",
    mend="Use a larger ε; if no ε does anything, look at the signs of gradient masking.",
)
def eps_effect(case: Case) -> Seen:
    """An ε at which the attack changes nothing."""
    if case.eps is None:
        raise NotApplicable("no ε was given")
    case.require_attackable()
    case.require_learnt()
    if case.eps > 1 and case.norm == "linf":
        raise NotApplicable("ε is not in pixel units (see eps_units)")
    x = case.images(case.affordable(22, 0.1, 64))
    before = case.logits_of(x)
    predicted = before.argmax(1)
    after = case.attack(x, predicted.to(x.device), ball(case.norm, case.eps), 7)
    moved = int((after.argmax(1) != predicted).sum())
    margins = [_margin(logits, predicted) for logits in (before, after)]
    share = float((margins[0] - margins[1]).mean() / margins[0].mean())
    seen = (
        f"the attack at ε = {case.eps:.4g} changes {moved} of {len(x)} predictions and takes {share:.1%} of the margin"
    )
    return warning(seen) if moved == 0 and share < NOTHING else ok(seen)


@check(
    why="Without that layer the run stops after its data are loaded, or smooths somewhere else than is reported.",
    mend="Name a layer whose output is maps [B, C, H, W] and that is called once (python: model.named_modules()).",
)
def smoothing_layer(case: Case) -> Seen:
    """A SmoothBlock's place that the model does not have."""
    if case.config is None or case.config.smoothing is None:
        raise NotApplicable("no config asks for smoothing")
    names = [name for name, module in case.model.named_modules() if isinstance(module, Smoothed)]
    if names:
        return ok(f"the SmoothBlock stands after '{names[0]}'")
    smoothing = case.config.smoothing
    after = smoothing.after or str(getattr(getattr(case.model, "network", case.model), "smooth_after", ""))
    try:
        insert_smoothing(case.model, after, smoothing.filter, example=case.images(1), sigma=smoothing.sigma)
    except BadInput as error:
        return problem(str(error))
    return ok(f"a SmoothBlock can stand after '{after}'")


@check(
    why="Training against PGD-7 costs eight passes for one: better known before than after a night.",
    mend="pellucid train CONFIG.yaml --dry-run says it for a whole run; fast_adversarial needs two passes.",
)
def cost(case: Case) -> Seen:
    """Time and memory of a pass."""
    seconds = case.seconds
    outputs = outputs_of(case.model, case.images(1))
    leaves = {m: calls for m, calls in outputs.items() if next(m.children(), None) is None}
    numbers = sum(math.prod(call.shape) for calls in leaves.values() for call in calls if call.shape)
    weights = sum(weight.numel() for weight in case.model.parameters())
    size = next((w.element_size() for w in case.weights), 4)
    return ok(
        f"{weights:,} parameters; about {1000 * seconds:.2g} ms forward and {3000 * seconds:.2g} ms with the gradient "
        f"an image, {numbers * size / 2**20:.2g} MB of activations each, {16 * weights / 2**20:.3g} MB with Adam"
    )


def _margin(logits: Tensor, target: Tensor) -> Tensor:
    """Logit of the target minus the largest of the others, [n]."""
    own = logits.gather(1, target[:, None]).squeeze(1)
    others = logits.scatter(1, target[:, None], -torch.inf).amax(1)
    return own - others
