"""Integrated gradients with 50 steps on the 32/64/1024 CNN, against Captum and against the bare passes.

    python benchmarks/integrated_gradients.py [--repeats 5] [--threads 2]

Captum runs the same quadrature (Gauss-Legendre), with as many points in a pass and, as it does unless told otherwise,
with all of them in one. The floor is a loop of exactly the forward and input-gradient passes of 50 points an image, in
batches of the same size.
"""

import numpy as np
import torch
from torch import Tensor, nn

import fashion
from pellucid.attributions import integrated_gradients
from ratios import FASTER, TIME, Row, Settings, agreeing, alone, divided, in_turn, timed

STEPS, CHUNK = 50, 128


def bare(model: nn.Module, points: Tensor, labels: Tensor) -> None:
    """The passes and nothing else."""
    for x, y in zip(points.split(CHUNK), labels.split(CHUNK), strict=True):
        leaf = x.detach().requires_grad_()
        torch.autograd.grad(model(leaf).gather(1, y[:, None]).sum(), leaf)


def rows(settings: Settings) -> list[Row]:
    """Against Captum and the floor."""
    model = fashion.trained("small_cnn", settings.size(100, 20), settings.device)
    x, y = fashion.correct_images(model, settings.size(32, 2), settings.device)
    points, labels = x.repeat(STEPS, 1, 1, 1), y.repeat(STEPS)
    contestants = {
        "ours": timed(lambda: integrated_gradients(model, x, y, steps=STEPS, chunk=CHUNK), settings.device),
        "bare": timed(lambda: bare(model, points, labels), settings.device),
    }
    checked, given = "", {}
    if settings.neighbours is not None:
        given = {"model": settings.neighbours.file_of(model), "steps": STEPS, "chunk": CHUNK}
        given |= {"images": x.cpu().numpy(), "labels": y.cpu().numpy()}
        theirs = settings.neighbours("integrated_gradients", **given)["attribution"]
        ours = integrated_gradients(model, x, y, steps=STEPS, chunk=CHUNK).cpu().numpy()
        difference = np.abs(ours - theirs).max() / np.abs(ours).max()
        checked = agreeing("attribution, relative to its largest", float(difference), 1e-4)
        for name, points_a_pass in {"captum": CHUNK, "captum_default": 0}.items():
            asked = given | {"chunk": points_a_pass}
            contestants[name] = lambda a=asked: float(settings.neighbours("integrated_gradients", **a)["seconds"])
    found = in_turn(contestants, settings.repeats)
    work = f"integrated gradients, {STEPS} steps, 32/64/1024 CNN, {len(x)} images"
    table = [Row(work, f"the bare {STEPS} passes", divided(found["ours"], found["bare"]), TIME, 1.1)]
    if "captum" in found:
        shown = {"captum_default": ("Captum, its default", 1.3), "captum": ("Captum, as many points in a pass", None)}
        for name, (words, target) in shown.items():
            table.append(Row(work, words, divided(found[name], found["ours"]), FASTER, target, checked))
    return table


if __name__ == "__main__":
    alone(__doc__, rows)
