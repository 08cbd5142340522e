"""Whether input gradients exist, are right, and can be trained on."""

import copy

import torch
from torch import Tensor, nn

from pellucid.doctor.case import Case
from pellucid.doctor.findings import NotApplicable, Seen, check, in_one_line, ok, problem, warning
from pellucid.gradients import input_gradient, logit_of
from pellucid.randomness import generator
from pellucid.types import Image, Labels

DOUBLE_RESOLUTION, FLOAT_UNDERFLOW = 36, 103
"""Logit gaps e⁻ᵍ below the resolution of float64, and below the smallest float32."""

ROUNDING = 1e3
"""Units of the last place by which a deep network's logits may be off."""


@check(
    why="Maps, attacks and gradient objectives all are functions of this gradient.",
    mend="Remove .detach(), torch.no_grad(), .numpy(), rounding to integers and work in place from forward.",
)
def reaches_pixels(case: Case) -> Seen:
    """A forward pass through which no gradient comes back to the pixels."""
    failure = case.gradient_failure
    if failure is not None:
        return problem(f"the gradient of a logit cannot be taken: {in_one_line(failure)}")
    return ok("a logit can be differentiated with respect to the pixels")


@check(
    why="One NaN in a gradient is a NaN in the map, and stops every attack on that image.",
    mend="Look for sqrt(0), x/0, log(0) or a norm at 0 in forward; add a small constant inside.",
)
def finite_gradients(case: Case) -> Seen:
    """NaN or infinite gradients."""
    _, _, gradients = case.explained
    bad = int((~gradients.isfinite()).flatten(1).any(1).sum())
    seen = f"{bad} of {len(gradients)} images have NaN or infinite gradients"
    return problem(seen) if bad else ok(seen)


@check(
    why="A map of zeros explains nothing, and no attack by gradients can move such an image: it only looks robust.",
    mend="Replace steps without derivative (round, sign, argmax) by smooth ones, or drop them from the model.",
)
def dead_gradients(case: Case) -> Seen:
    """Images whose gradient is zero everywhere."""
    x, _, gradients = case.explained
    dead = (gradients == 0).flatten(1).all(1)
    seen = f"{int(dead.sum())} of {len(dead)} images have a gradient of zero"
    if not dead.any():
        return ok(seen)
    noise = torch.rand(x.shape, generator=generator(case.seed, "doctor", "dead")).to(x)
    moved = bool((case.logits_of(x[dead]) != case.logits_of(0.75 * x[dead] + 0.25 * noise[dead])).any())
    seen = f"{seen}, and noise {'does change' if moved else 'changes nothing in'} their logits"
    return problem(seen) if dead.double().mean() > 0.05 else warning(seen)


@check(
    why="Units that are zero for every image pass no gradient on: maps come from what little is left.",
    mend="Lower the learning rate or the weight of the penalty that killed them; check the scale of the input.",
)
def dead_units(case: Case) -> Seen:
    """ReLU layers of which hardly a unit is ever active."""
    if not case.logits.isfinite().all():
        raise NotApplicable("logits are not finite (see finite_logits)")
    active: dict[str, Tensor] = {}

    def watch(name: str, module: nn.Module) -> None:
        def look(_: nn.Module, __: object, output: object) -> None:
            if isinstance(output, Tensor):
                here = (output > 0).flatten(2).any(2).any(0) if output.ndim > 2 else (output > 0).any(0)
                before = active.get(name)
                active[name] = here if before is None or before.shape != here.shape else before | here

        module.register_forward_hook(look)

    for name, module in case.model.named_modules():
        if isinstance(module, nn.ReLU | nn.ReLU6):
            watch(name, module)
    case.logits_of(case.images(case.affordable(1, 0.02, 256)))
    if not active:
        raise NotApplicable("the model has no ReLU modules")
    shares = {name: 1 - float(units.double().mean()) for name, units in active.items()}
    worst = max(shares, key=shares.__getitem__)
    seen = f"in '{worst}', the worst of {len(shares)} ReLU layers, {shares[worst]:.0%} of the units are never active"
    if shares[worst] == 1:
        return problem(seen)
    return warning(seen) if shares[worst] > 0.95 else ok(seen)


@check(
    why="Where the softmax is saturated the loss has no gradient in float32: attacks stand still and look defeated.",
    mend="Divide the logits by a temperature (no prediction changes), or attack margins of logits.",
)
def saturated_softmax(case: Case) -> Seen:
    """Logits so far apart that the cross-entropy's gradient vanishes."""
    case.require_range()
    _, _, gradients = case.explained
    vanished = ((case.softmax_gradients == 0).flatten(1).all(1)) & (gradients != 0).flatten(1).any(1)
    if case.logits.shape[1] < 2:
        raise NotApplicable("there is one logit only")
    top = case.logits.topk(2, 1).values
    gap = float((top[:, 0] - top[:, 1]).median())
    share = float(vanished.double().mean())
    seen = (
        f"the two largest logits lie {gap:.3g} apart (median); {share:.0%} of the images have no gradient of the loss"
    )
    if share > 0.05 or gap > FLOAT_UNDERFLOW:
        return problem(seen)
    return warning(seen) if gap > DOUBLE_RESOLUTION else ok(seen)


@check(
    why="A gradient that is not the model's slope (straight-through, detached) explains another model.",
    mend="Let autograd differentiate what forward computes; keep surrogates for training out of the measured model.",
)
def finite_differences(case: Case) -> Seen:
    """Gradients that disagree with finite differences."""
    case.require_independent()
    case.require_gradient()
    x = case.images(case.affordable(24, 0.1, 8, 2)).double()
    y = case.logits_of(x.to(case.dtype)).argmax(1).to(x.device)
    draws = generator(case.seed, "doctor", "differences")
    x = 0.98 * x + 0.02 * torch.rand(x.shape, generator=draws, dtype=torch.float64).to(x)  # away from ties and kinks
    model, step, tolerance = _in_double(case, x)
    x = x.to(next((w.dtype for w in model.parameters()), x.dtype))
    errors = _disagreement(model, x, y, step, draws)
    errors = errors[~errors.isnan()]
    if not len(errors):
        raise NotApplicable("gradients are so small that differences of logits drown in rounding")
    wrong = int((errors > tolerance).sum())
    seen = f"{wrong} of {len(errors)} images disagree with finite differences (median {float(errors.median()):.1g})"
    return problem(seen) if wrong > len(errors) / 2 else ok(seen)


@check(
    why="Objectives on gradients and attacks on maps differentiate the gradient once more.",
    mend="Use PyTorch's own operations, or give your autograd.Function a differentiable backward.",
)
def double_backward(case: Case) -> Seen:
    """A gradient that cannot be differentiated again, or whose derivative is zero or NaN."""
    if not case.explained[2].isfinite().all():
        raise NotApplicable("gradients are not finite (see finite_gradients)")
    x = case.images(case.affordable(12, 0.1, 4, 1))
    for parameter in case.model.parameters():
        if parameter.is_floating_point():
            parameter.requires_grad_(True)
            parameter.grad = None
    target = logit_of(case.logits_of(x).argmax(1).to(x.device))
    try:
        _, gradient = input_gradient(case.model, x.clone(), target, create_graph=True)
        if not gradient.requires_grad:
            return problem("the gradient keeps no graph: it does not know that it depends on the weights")
        (gradient / gradient.detach().abs().max().clamp_min(1e-30)).square().sum().backward()
    except RuntimeError as error:
        return problem(f"the gradient cannot be differentiated: {in_one_line(error)}")
    return _judged(case)


def _judged(case: Case) -> Seen:
    slopes = [parameter.grad for parameter in case.model.parameters() if parameter.grad is not None]
    if not slopes:
        raise NotApplicable("the model has no parameters")
    if not all(bool(slope.isfinite().all()) for slope in slopes):
        return problem("the derivative of the squared gradient by the weights is NaN or infinite")
    if not any(bool((slope != 0).any()) for slope in slopes):
        return problem("the derivative of the squared gradient by the weights is zero everywhere")
    fused = _fused_attention(case)
    note = "; fused attention was replaced by its formula, which Pellucid does for itself" if fused else ""
    return Seen("ok", f"the squared gradient can be differentiated by the weights{note}", FUSED if fused else None)


FUSED = "In your own loop: with torch.nn.attention.sdpa_kernel(SDPBackend.MATH), or TIMM_FUSED_ATTN=0."


def _fused_attention(case: Case) -> bool:
    """Whether a plain forward pass takes a fused attention kernel, which has a first derivative only."""
    with torch.enable_grad():
        output = case.model(case.images(1).requires_grad_())
    stack, seen = [output.grad_fn], set()
    while stack:
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if "ScaledDotProduct" in node.name():
            return True
        stack.extend(following for following, _ in node.next_functions)
    return False


def _in_double(case: Case, x: Image) -> tuple[nn.Module, float, float]:
    """The model in float64, step and tolerance; in its own type, coarser, where it does not run in float64."""
    try:
        exact = copy.deepcopy(case.model).double()
        with torch.no_grad():
            if exact(x[:1].clone()).dtype == torch.float64:
                return exact, 1e-5, 0.05
    except Exception:  # a cast inside the model, an operation without float64
        return case.model, 1e-2, 0.5
    return case.model, 1e-2, 0.5


def _disagreement(model: nn.Module, x: Image, y: Labels, step: float, draws: torch.Generator) -> Tensor:
    """|slope - ⟨∇, d⟩| / (‖∇‖ + |slope|) for each image: the worse of a random direction and the steepest one.

    NaN where neither the gradient nor the differences along its signs rise above the rounding of the logits.
    """
    score = logit_of(y)
    _, gradient = input_gradient(model, x.clone(), score)
    size = gradient.flatten(1).norm(dim=1)
    steepest = gradient.sign()
    chance = torch.randn(x.shape, generator=draws, dtype=torch.float64).sign().to(x)
    errors, rises = [], []
    for direction in (chance, steepest):
        with torch.no_grad():
            ends = [score(model(x + sign * step * direction)) for sign in (1, -1)]
        slope = (ends[0] - ends[1]) / (2 * step)
        rises.append(torch.maximum(slope.abs(), (gradient * direction).flatten(1).sum(1).abs()))
        rounding = ROUNDING * torch.finfo(slope.dtype).eps * torch.maximum(*map(torch.abs, ends)) / step
        gap = (slope - (gradient * direction).flatten(1).sum(1)).abs()
        errors.append(gap / (size + slope.abs()).clamp_min(1e-300 if gap.dtype == torch.float64 else 1e-30))
    found = torch.stack(errors).amax(0).masked_fill(rises[1] < rounding, float("nan"))
    return found.double().cpu()
