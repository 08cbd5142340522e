"""Whether the same image gives the same logits: modes, dropout, randomness, batch mates, work in place."""

import torch
from torch import Tensor, nn

from pellucid.doctor.case import TOLERANCE, Case, relative_change
from pellucid.doctor.findings import Seen, check, in_one_line, ok, problem


@check(
    why="Dropout and batch statistics then enter accuracy, attacks and maps: numbers change from pass to pass.",
    mend="Call model.eval() before measuring; Pellucid's own commands do.",
)
def train_mode(case: Case) -> Seen:
    """A model that comes in train mode, where that makes a difference."""
    if not case.given_modes:
        return ok("every module is in eval mode")
    case.require_steady()
    x = case.glimpse(8)
    before = case.logits_of(x)
    for name, module in case.model.named_modules():
        module.training = name in case.given_modes
    change = relative_change(before, _logits(case.model, x))
    seen = f"{len(case.given_modes)} of {len(list(case.model.modules()))} modules came in train mode"
    if change > TOLERANCE:
        return problem(f"{seen}; that changes the logits by {change:.1%} of the largest")
    return ok(f"{seen}, which changes nothing")


@check(
    why="Each pass sees another network: attacks chase noise, and two maps of one image differ.",
    mend="Use nn.Dropout (or F.dropout(x, training=self.training)) and draw no noise in eval mode.",
)
def active_dropout(case: Case) -> Seen:
    """Dropout or noise that eval mode does not switch off."""
    change, same = case.repeats_with_other_numbers, case.repeats_with_same_numbers
    if change > TOLERANCE >= same:
        return problem(f"two eval passes with different random numbers differ by {change:.1%} of the largest logit")
    return ok("eval passes use no random numbers" if same <= TOLERANCE else "what differs is not due to random numbers")


@check(
    why="No number can be reproduced, and a comparison of models compares their moods.",
    mend="Remove state that a forward pass changes (counters, caches, running means), and non-deterministic kernels.",
)
def determinism(case: Case) -> Seen:
    """Two eval passes that differ although all random numbers are equal."""
    change = case.repeats_with_same_numbers
    seen = f"two eval passes with equal random numbers differ by {change:.1g} of the largest logit"
    return problem(seen) if change > TOLERANCE else ok(seen)


@check(
    why="The map of an image would depend on the images beside it, and every number on the batch size.",
    mend="Use running statistics in eval mode (BatchNorm: track_running_stats=True), none over the batch.",
)
def batch_independence(case: Case) -> Seen:
    """Logits that depend on the other images of the batch."""
    case.require_steady()
    try:
        change = case.mates_matter
    except (RuntimeError, ValueError, IndexError) as error:
        return problem(f"the model fails on batches of another size: {in_one_line(error)}")
    seen = f"other batch mates change an image's logits by {change:.1g} of the largest"
    return problem(seen) if change > TOLERANCE else ok(seen)


@check(
    why="The second pass sees another image than the first: attacks, noise and maps all work on a spoilt one.",
    mend="Write x = x - mean instead of x -= mean (and x.relu() for x.relu_()) on the input.",
)
def unchanged_input(case: Case) -> Seen:
    """A forward pass that overwrites the images that it is given."""
    case.require_logits()
    x = case.images(4).clone()
    before = x.clone()
    _logits(case.model, x)
    change = float((x - before).abs().max())
    return (
        problem(f"a forward pass changes the pixels by up to {change:.2g}")
        if change > 0
        else ok("images stay as they are")
    )


@check(
    why="Work in place overwrites what hooks looked at: Grad-CAM and guided methods may see later values or fail.",
    mend="Nothing for gradients and Pellucid's metrics; for full backward hooks set module.inplace = False.",
)
def in_place_activations(case: Case) -> Seen:
    """Activations that work in place, and layers whose output is overwritten after they returned."""
    case.require_logits()
    flagged = [name for name, module in case.model.named_modules() if getattr(module, "inplace", False)]
    overwritten = _overwritten(case)
    if case.gradient_failure is not None and "inplace operation" in str(case.gradient_failure):
        return problem(f"work in place spoils the gradient: {in_one_line(case.gradient_failure)}", "Set inplace=False.")
    if not flagged and not overwritten:
        return ok("no module works in place")
    return ok(
        f"{len(flagged)} modules work in place and {len(overwritten)} outputs are overwritten; gradients are right"
    )


def _overwritten(case: Case) -> list[str]:
    """Names of the modules whose output is changed in place after they returned it."""
    outputs: list[tuple[str, Tensor, int]] = []

    def note(name: str) -> object:
        def hook(_: nn.Module, __: object, output: object) -> None:
            if isinstance(output, Tensor):
                outputs.append((name, output, output._version))

        return hook

    for name, module in case.model.named_modules():
        module.register_forward_hook(note(name))
    _logits(case.model, case.images(2).clone())
    return [name for name, output, version in outputs if output._version != version]


def _logits(model: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        return model(x).double().cpu()  # type: ignore[no-any-return]
