"""PGD-40 on the 32/64/1024 CNN: a training step against cleverhans-style PGD and the bare passes; against torchattacks.

    python benchmarks/pgd_step.py [--repeats 5] [--threads 2]

The floor is a loop of exactly 40 forward/input-gradient passes plus one update at batch 128, which runs in this process
as does the step in the style of cleverhans. torchattacks attacks from the images themselves, with and without the early
stop for images that are already fooled, which only evaluation may have. What the style of cleverhans wastes is the
gradient of the weights in every step; below the bare passes lies what channels-last weights save.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import fashion
from pellucid.attacks import ball, pgd, worst_case
from pellucid.models import small_cnn
from pellucid.models.normalised import normalised
from pellucid.objectives import adversarial
from ratios import FASTER, TIME, Row, Settings, agreeing, alone, divided, in_turn, timed

EPS, STEP, STEPS = 0.1, 0.01, 40
Batch = tuple[Tensor, Tensor]
WORK = f"PGD-{STEPS} training step, 32/64/1024 CNN, batch"


def bare(model: nn.Module, optimizer: torch.optim.Optimizer, batch: Batch) -> None:
    """The floor: the passes and nothing else; the images never move."""
    x, y = batch
    for _ in range(STEPS):
        leaf = x.detach().requires_grad_()
        torch.autograd.grad(cross_entropy(model(leaf), y, reduction="sum"), leaf)
    optimizer.zero_grad()
    cross_entropy(model(x), y).backward()
    optimizer.step()


def ours(model: nn.Module, optimizer: torch.optim.Optimizer, batch: Batch) -> None:
    """Pellucid's objective."""
    draws = torch.Generator().manual_seed(0)
    loss = adversarial(model, *batch, generator=draws, eps=EPS, step_size=STEP, steps=STEPS)
    optimizer.zero_grad()
    loss.total.backward()
    optimizer.step()


def in_the_style_of_cleverhans(model: nn.Module, optimizer: torch.optim.Optimizer, batch: Batch) -> None:
    """What the published scripts do: labels from an extra forward, `backward()` into all weights, checks every step."""
    x, _ = batch
    label = model(x).argmax(1)
    adversarial_x = x + torch.empty_like(x).uniform_(-EPS, EPS)
    for _ in range(STEPS):
        leaf = adversarial_x.clone().detach().to(torch.float).requires_grad_(True)
        loss = nn.CrossEntropyLoss()(model(leaf), label)
        loss.backward()
        moved = leaf + STEP * torch.sign(leaf.grad)
        adversarial_x = x + torch.clamp(moved - x, -EPS, EPS)
        assert bool((adversarial_x - x).abs().max() <= EPS + 1e-6)
    optimizer.zero_grad()
    cross_entropy(model(adversarial_x), label).backward()
    optimizer.step()


def training(settings: Settings) -> list[Row]:
    """One step of training: of ours, in the style of cleverhans, and the floor."""
    torch.manual_seed(0)
    size, device = settings.size(128, 2), settings.device
    batch = torch.rand(size, 1, 28, 28, device=device), torch.randint(0, 10, (size,), device=device)
    contestants: dict[str, Callable[[], float]] = {}
    for step in (bare, ours, in_the_style_of_cleverhans):
        model = normalised(small_cnn(channels=1, classes=10, image_size=28), (0.3,), (0.35,)).to(device)
        contestants[step.__name__] = timed(partial(step, model, torch.optim.Adam(model.parameters()), batch), device)
    found = in_turn(contestants, settings.repeats)
    style = divided(found["in_the_style_of_cleverhans"], found["ours"])
    return [
        Row(f"{WORK} {size}", "cleverhans-style PGD", style, FASTER, 1.4),
        Row(f"{WORK} {size}", "the bare passes", divided(found["ours"], found["bare"]), TIME, 1.05),
    ]


def evaluation(settings: Settings) -> list[Row]:
    """Against torchattacks, on images that a trained model classifies correctly."""
    assert settings.neighbours is not None
    device = settings.device
    model = fashion.trained("small_cnn", settings.size(100, 20), device)
    x, y = fashion.correct_images(model, settings.size(64, 4), device)
    given = {"model": settings.neighbours.file_of(model), "images": x.cpu().numpy(), "labels": y.cpu().numpy()}
    given |= {"eps": EPS, "step_size": STEP, "steps": STEPS}
    options = {"step_size": STEP, "steps": STEPS}
    attacked = pgd(model, x, y, ball("linf", EPS), **options).cpu().numpy()
    with torch.no_grad():
        theirs = torch.from_numpy(settings.neighbours("attack", **given)["images"]).to(x)
        fooled = [model(images).argmax(1) != y for images in (torch.from_numpy(attacked).to(x), theirs)]
    # A step takes the sign of the gradient, so rounding (of channels-last sums, say) can turn a pixel of a gradient
    # near 0, and 40 steps carry that on: a tenth of the pixels where hardly anything was learnt, else a thirtieth.
    same = float((np.abs(attacked - theirs.cpu().numpy()) > 1e-5).mean())
    verdicts = agreeing("verdicts, share", float((fooled[0] != fooled[1]).float().mean()), 0.02)
    checked = f"{verdicts}, {agreeing('pixels, share', same, 0.15)}"
    contestants = {
        "all steps": timed(lambda: pgd(model, x, y, ball("linf", EPS), **options), device),
        "early stop": timed(lambda: worst_case(model, x, y, ball("linf", EPS), starts=[None], **options), device),
        "torchattacks": lambda: float(settings.neighbours("attack", **given)["seconds"]),
    }
    found = in_turn(contestants, settings.repeats)
    work = f"evaluation PGD-{STEPS}, 32/64/1024 CNN, batch {len(x)}"
    share = f"{float(fooled[0].float().mean()):.0%} of the images were fooled"
    return [
        Row(f"{work}, {kind}", "torchattacks", divided(found["torchattacks"], found[kind]), FASTER, None, what)
        for kind, what in (("all steps", checked), ("early stop", share))
    ]


def rows(settings: Settings) -> list[Row]:
    """Training, and evaluation where there are neighbours."""
    return training(settings) + ([] if settings.neighbours is None else evaluation(settings))


if __name__ == "__main__":
    alone(__doc__, rows)
