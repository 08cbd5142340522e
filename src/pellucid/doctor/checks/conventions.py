"""Whether the model expects pixels as the data have them: it is asked in other ways and must not get better."""

from collections.abc import Callable

import torch
from scipy.stats import binomtest
from torch import Tensor, nn

from pellucid.doctor.case import Case
from pellucid.doctor.findings import NotApplicable, Seen, check, ok, problem, warning
from pellucid.types import Image

GAIN = 0.1
"""Ten points of accuracy: more than any change of contrast brings a model that gets what it was trained on."""

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@check(
    why="Colours mean something else to the model, so accuracy suffers and maps of single channels are swapped.",
    mend="Read images as RGB (OpenCV reads BGR: image[..., ::-1]), in the order the model was trained on.",
)
def channel_order(case: Case) -> Seen:
    """A model that was trained on BGR images, or data that are."""
    case.require_steady()
    if case.test.images.shape[1] != 3:
        raise NotApplicable(f"the images have {case.test.images.shape[1]} channels, not 3")
    return _better(case, {"in reverse order of the channels": lambda x: x.flip(1)})


@check(
    why="A missing, second or wrong normalisation costs accuracy and scales every gradient by the wrong number.",
    mend="Put the normalisation of the training, once, into the model: pellucid.models.normalised(network, mean, std).",
)
def pixel_scaling(case: Case) -> Seen:
    """A model that wants pixels scaled or normalised in another way."""
    case.require_steady()
    case.require_range()
    x = case.train.spread(256).to(case.device, case.dtype)
    mean, std = x.mean((0, 2, 3), keepdim=True), x.std((0, 2, 3), keepdim=True).clamp_min(1e-3)
    changes: dict[str, Callable[[Image], Image]] = {
        "normalised by the data's mean and std": lambda x: (x - mean) / std,
        "with that normalisation undone": lambda x: x * std + mean,
        "mapped to -1 … 1": lambda x: 2 * x - 1,
        "with the mapping to -1 … 1 undone": lambda x: (x + 1) / 2,
        "multiplied by 255": lambda x: 255 * x,
    }
    if x.shape[1] == 3:
        m, s = (torch.tensor(numbers).view(1, 3, 1, 1).to(x) for numbers in IMAGENET)
        changes["normalised by ImageNet's constants"] = lambda x: (x - m) / s
    return _better(case, changes)


@check(
    why="A model that sees another picture than the person does cannot be explained to that person.",
    mend="Store images as [C, H, W] with row 0 at the top, bright as in training.",
)
def orientation(case: Case) -> Seen:
    """Images that are transposed or inverted with respect to the training."""
    case.require_steady()
    changes: dict[str, Callable[[Image], Image]] = {"inverted (1 - x)": lambda x: 1 - x} if case.in_range else {}
    if case.test.images.shape[2] == case.test.images.shape[3]:
        changes["transposed"] = lambda x: x.transpose(2, 3)
    if not changes:
        raise NotApplicable("neither the range nor the shape of the images allows to turn them")
    return _better(case, changes)


@check(
    why="Constants for another scale (0 … 255, or a second normalisation) starve or flood the first layer.",
    mend="Normalise once, with mean and std of pixels in [0, 1]: (0.485, 0.229) for ImageNet's red, not (123.7, 58.4).",
)
def normalisation_constants(case: Case) -> Seen:
    """What reaches the first layer with weights: normalised twice, or by constants of another scale."""
    case.require_range()
    case.require_logits()
    entering, before = _first_layer(case)
    if entering is None or entering.ndim not in (2, 4):
        raise NotApplicable("no convolution or linear layer that sees the image could be found")
    entering = entering if entering.ndim == 4 else entering[:, None, None]
    mean, std = entering.mean((0, 2, 3)), entering.std((0, 2, 3))
    pixels = float(case.images(32).std())
    spread, shift = float(std.max()), float(mean.abs().max())
    seen = f"the first layer gets channels of mean up to {shift:.2g} in size and std up to {spread:.2g}"
    if len(before) > 1:
        return problem(
            f"the image is normalised {len(before)} times before the first layer ({', '.join(before)}); {seen}"
        )
    if spread < 0.05 * pixels:
        return problem(f"{seen}, for pixels of std {pixels:.2g}: constants of another scale")
    return (
        warning(f"{seen}: normalised twice, or by constants of other data") if spread > 2.5 or shift > 3 else ok(seen)
    )


def _better(case: Case, changes: dict[str, Callable[[Image], Image]]) -> Seen:
    """A problem if one of the changed images is recognised clearly better than the image itself."""
    best = (0.0, "")
    for name, change in changes.items():
        plain, logits = case.variant(change, len(changes))
        changed = logits.argmax(1) == case.labels(len(plain))
        gained, lost = int((changed & ~plain).sum()), int((plain & ~changed).sum())
        gain, accuracy = (gained - lost) / len(plain), float(changed.double().mean())
        sure = gained > 0 and binomtest(gained, gained + lost, 0.5, alternative="greater").pvalue < 1e-3
        if sure and gain >= GAIN and case.knows(logits, accuracy):
            best = max(best, (accuracy, name))
    base = float(plain.double().mean())
    if best[1]:
        return problem(f"accuracy is {base:.0%} on the images as they are and {best[0]:.0%} {best[1]}")
    others = next(iter(changes)) if len(changes) == 1 else f"in any of {len(changes)} other ways"
    return ok(f"accuracy is {base:.0%} on the images as they are and no better {others}")


def _first_layer(case: Case) -> tuple[Tensor | None, list[str]]:
    """What enters the first convolution or linear layer, and the normalising layers without weights before it."""
    x, entering, before = case.glimpse(32), [], []

    def enter(_: nn.Module, inputs: tuple[object, ...]) -> None:
        if inputs and isinstance(inputs[0], Tensor):
            entering.append(inputs[0].detach().double().cpu())

    def left(module: nn.Module, inputs: tuple[object, ...], output: object) -> None:
        if entering or next(module.children(), None) is not None or next(module.parameters(), None) is not None:
            return
        first = inputs[0] if inputs else None
        if not (isinstance(first, Tensor) and isinstance(output, Tensor)) or first.shape != output.shape:
            return
        if "norm" in type(module).__name__.lower() and not torch.equal(first, output):
            before.append(type(module).__name__)

    for module in case.model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_pre_hook(enter)
        module.register_forward_hook(left)
    case.logits_of(x)
    return (entering[0] if entering else None), before
