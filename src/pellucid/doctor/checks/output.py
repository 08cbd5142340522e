"""What comes out: one tensor of logits, as many as there are classes."""

import torch
from torch import Tensor, nn

from pellucid.doctor.case import Case
from pellucid.doctor.findings import NotApplicable, Seen, check, in_one_line, ok, problem, warning
from pellucid.gradients import describe

VIEWS = {"View", "UnsafeView", "Reshape", "Squeeze", "Unsqueeze", "Clone", "ToCopy", "Alias", "Slice", "Expand"}
BOUNDED = {
    "Sigmoid": "a sigmoid",
    "Tanh": "a tanh",
    "Relu": "a ReLU",
    "Clamp": "a clamp",
    "Hardtanh": "a hard tanh",
    "Softmax": "a softmax",
    "LogSoftmax": "a log-softmax",
}


@check(
    why="Nothing else can be said about a model that fails on the very images it is to be measured on.",
    mend="Give images of the size and number of channels that the model was built for (folder: image_size, channels).",
)
def takes_images(case: Case) -> Seen:
    """Images of a size or number of channels that the model cannot take."""
    shape = list(case.test.images.shape[1:])
    wanted = next((m.in_channels for m in case.model.modules() if isinstance(m, nn.Conv2d)), None)
    if isinstance(case.output, Exception):
        hint = f" (its first convolution wants {wanted} channels)" if wanted not in (None, shape[0]) else ""
        return problem(f"the model fails on images of shape {shape}{hint}: {in_one_line(case.output)}")
    return ok(f"images of shape {shape} pass through the model")


@check(
    why="Losses, attacks and maps all need logits [B, K]; anything else stops them or is silently misread.",
    mend="Wrap the model so that forward returns the logits alone: model(x).logits, or model(x)[0].",
)
def output_form(case: Case) -> Seen:
    """An output that is not one tensor [B, K]."""
    if isinstance(case.output, Exception):
        raise NotApplicable("the model does not take the images (see takes_images)")
    few = min(4, len(case.test))
    if not isinstance(case.output, Tensor) or case.output.ndim != 2 or len(case.output) != few:
        fields = f" with {', '.join(list(case.output)[:4])}" if isinstance(case.output, dict) else ""
        return problem(f"{few} images give {describe(case.output)}{fields} instead of a tensor [{few}, K]")
    return ok(f"{few} images give logits of shape {list(case.output.shape)}")


@check(
    why="With logits that no label means, accuracy and cross-entropy are those of another task.",
    mend="Replace the head by one with as many outputs as there are classes (--weights keeps the rest).",
)
def number_of_logits(case: Case) -> Seen:
    """More or fewer logits than classes."""
    case.require_logits()
    logits = int(case.output.shape[1])
    seen = f"{logits} logits for {case.classes} classes"
    if logits == case.classes:
        return ok(seen)
    if case.train.classes is None and case.classes < logits < 2 * case.classes:
        return warning(f"{seen} seen in the labels")
    return problem(seen)


@check(
    why="Gradients of probabilities vanish where the model is sure, and a loss that takes logits is applied twice.",
    mend="Return what enters the last activation (logits); softmax belongs into the loss and the display.",
)
def logits_not_probabilities(case: Case) -> Seen:
    """A softmax, sigmoid, log-softmax or other bound at the end."""
    case.require_logits()
    with torch.enable_grad():
        z = case.model(case.glimpse(16).requires_grad_())
    last = BOUNDED.get(_last_operation(z))
    z = z.detach().double().cpu()
    sums = z.sum(1)
    if z.shape[1] > 1 and float(z.min()) >= 0 and float((sums - 1).abs().max()) < 1e-3:
        return problem("all outputs are ≥ 0 and sum to 1: they are probabilities")
    if z.shape[1] > 1 and float(z.max()) <= 0 and float(z.logsumexp(1).abs().max()) < 1e-3:
        return problem("the exponentials of the outputs sum to 1: they are log-probabilities")
    if last is not None:
        return problem(f"the last operation is {last}; outputs run from {float(z.min()):.3g} to {float(z.max()):.3g}")
    return ok(f"outputs run from {float(z.min()):.3g} to {float(z.max()):.3g} and sum to {float(sums.mean()):.3g}")


@check(
    why="A NaN logit is never the largest and poisons every mean.",
    mend="Look for a division by zero, an overflow of half precision, or weights that diverged in training.",
)
def finite_logits(case: Case) -> Seen:
    """NaN or infinite logits."""
    bad = int((~case.logits.isfinite()).any(1).sum())
    seen = f"{bad} of {len(case.logits)} images have NaN or infinite logits"
    return problem(seen) if bad else ok(seen)


def _last_operation(output: Tensor) -> str:
    """Name of the operation that made the output, changes of shape and type left out."""
    node = output.grad_fn
    while node is not None:
        name = node.name().removesuffix("0").removesuffix("Backward")
        if name not in VIEWS:
            return name
        node = node.next_functions[0][0] if node.next_functions else None
    return ""
