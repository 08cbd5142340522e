"""Run all checks on a model and its data, and leave both as they were."""

from collections.abc import Callable
from typing import Any

from torch import nn

from pellucid.doctor import checks
from pellucid.doctor.case import BUDGET, Case
from pellucid.doctor.findings import STATUSES, Check, Finding
from pellucid.doctor.samples import Given, as_sample
from pellucid.doctor.sandbox import Snapshot, seeded, untouched, working_copy
from pellucid.modes import unwrapped

WRAPPERS = ("DistributedDataParallel", "DataParallel", "_FabricModule", "OptimizedModule")


def all_checks() -> list[Check]:
    """Every check of ``pellucid.doctor.checks``, by name."""
    return [getattr(checks, name) for name in checks.__all__]


def examine(
    model: nn.Module, train: Given, test: Given | None = None, *, eps: float | None = None, seed: int = 0
) -> list[Finding]:
    """Look for what would spoil training and measurements, in under a minute.

    Parameters
    ----------
    model
        Pixels [B, C, H, W] to logits [B, K]. Neither its weights, statistics, modes and hooks nor any random state is
        changed: the checks work on a copy, which is put back after each of them.
    train, test
        Data sets of ``pellucid.data``, or pairs (x, y) of tensors: images [N, C, H, W] in [0, 1] or bytes, labels [N].
        Hand over all images that you have: passes use a sample of the test images (of the training images if there are
        no others) that depends on `seed` and on the speed of the model; copies and labels are looked for in all.
    eps
        Radius of the L∞ ball that will be used, in pixel units; None leaves the checks of ε out.

    Returns
    -------
    Problems first, then warnings, what could not be checked, what is well; each in the order of the checks' names.

    Raises
    ------
    BadInput
        If the data are neither of the two.
    """
    return run_checks(case_of(model, train, test, eps=eps, seed=seed))


def case_of(model: nn.Module, train: Given, test: Given | None, *, budget: float = BUDGET, **more: Any) -> Case:
    """The case of a model and its data, with a working copy of the model in eval mode."""
    inside, wrapper = _inside(model)
    given_modes = tuple(name for name, module in inside.named_modules() if module.training)
    with seeded("copy"):
        copied = working_copy(inside)
    learn = as_sample(train, "training")
    held_out = learn if test is None else as_sample(test, "test")
    return Case(
        copied,
        learn,
        held_out,
        has_test=test is not None,
        given_modes=given_modes,
        wrapper=wrapper,
        budget=budget,
        **more,
    )


def run_checks(
    case: Case, some: list[Check] | None = None, *, tick: Callable[[str], object] = lambda _: None
) -> list[Finding]:
    """The findings of all checks (or of some), the worst first; `tick` gets the name of each before it is made."""
    given, found = Snapshot(case.model), []
    try:
        case.model.eval()
        ready = Snapshot(case.model)
        for check in some or all_checks():
            tick(check.name)
            with untouched(ready, case.seed, "doctor", check.name):
                found.append(check(case))
    finally:
        given.restore()
    return sorted(found, key=lambda finding: STATUSES.index(finding.status))


def _inside(model: nn.Module) -> tuple[nn.Module, nn.Module | None]:
    """The user's own module, and the outermost wrapper around it, if any."""
    inside = unwrapped(model)
    while type(inside).__name__ in WRAPPERS:
        inside = getattr(inside, "_orig_mod", None) or inside.module  # type: ignore[assignment]
    return inside, None if inside is model else model
