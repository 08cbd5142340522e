"""The full suite on LeNet and Fashion-MNIST images, against the published pipeline, and its cost over the images.

    python benchmarks/published_suite.py [--repeats 5] [--threads 2]

Vanilla gradient; Gini, SSIM at 8 noise levels, relative output stability with 5 draws, ROAD at 20 levels. The neighbour
is Captum's Saliency with Quantus 0.5.3 and scikit-image, called as the published scripts call them: loader batches of
32, one metric after the other, each explaining anew, SSIM and imputation one image at a time. It gets fewer images;
times per image are compared. First the numbers of both are, made from the same noise.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

import fashion
from pellucid.experiments.suite import LOADER_BATCH, METRICS, Batch, clean, explainer, images_per_unit, legacy
from ratios import FASTER, TIME, Row, Settings, agreeing, alone, divided, in_turn, timed

SEED, STEPS = 0, 300
TOLERANCES = {"Gini": 1e-6, "SSIM": 1e-5, "log10 ROS, median image": 1e-3, "ROAD, share of verdicts": 0.01}
"""Quantus works in float32 and removes pixels of equal value in an order of its own."""
Suite = Callable[[Batch, Sequence[str], int], dict[str, Tensor]]


def measured(suite: Suite, model: nn.Module, x: Tensor, y: Tensor, at_once: int) -> dict[str, Tensor]:
    """What the suite finds for every image."""
    rows = []
    for positions in torch.arange(len(x)).split(at_once):
        batch = Batch(model, x[positions], y[positions], positions.tolist(), explainer("gradient"))
        rows.append(suite(batch, METRICS, SEED))
    return {name: torch.cat([row[name] for row in rows]).cpu() for name in rows[0]}


def rows(settings: Settings) -> list[Row]:
    """Against the published pipeline (legacy, the same numbers; clean, which measures more), and over the images."""
    device, steps = settings.device, settings.size(STEPS, 60)
    model = fashion.trained("lenet", steps, device)
    count, fewer, theirs = settings.size(1000, 8), settings.size(250, 8), settings.size(64, 8)
    x, y = fashion.correct_images(model, 4 * count, device)

    def ours(suite: Suite, number: int) -> Callable[[], float]:
        at_once = LOADER_BATCH if suite is legacy else images_per_unit(x)
        return timed(lambda: measured(suite, model, x[:number], y[:number], at_once), device)

    contestants = {"legacy": ours(legacy, count), "clean": ours(clean, fewer), "four": ours(legacy, 4 * count)}
    checked = ""
    if settings.neighbours is not None:
        few = {"model": settings.neighbours.file_of(model), **arrays(x[:theirs], y[:theirs])}
        checked = agreement(settings, model, x[:theirs], y[:theirs])
        contestants["published"] = lambda: float(settings.neighbours("published_suite", **few)["seconds"])
    found = in_turn(contestants, settings.repeats)
    growth = divided(found["four"], found["legacy"])
    linear = Row(f"full suite, LeNet, {4 * count} images (legacy)", f"itself, {count} images", growth, TIME, 4.2)
    if settings.neighbours is None:
        return [linear]
    their_image = [seconds / theirs for seconds in found["published"]]
    ratios = {
        name: divided(their_image, [seconds / number for seconds in found[name]])
        for name, number in (("legacy", count), ("clean", fewer))
    }
    work, against = "full suite, LeNet, {} images ({})", f"the published pipeline, {theirs} images"
    more = "measures more: 16 draws of ROS, Spearman, cosine, a random control of ROAD"
    return [
        Row(work.format(count, "legacy"), against, ratios["legacy"], FASTER, 15, checked),
        Row(work.format(fewer, "clean"), against, ratios["clean"], FASTER, None, more),
        linear,
    ]


def arrays(x: Tensor, y: Tensor) -> dict[str, np.ndarray]:
    """Images and labels, for the other process."""
    return {"images": x.cpu().numpy(), "labels": y.cpu().numpy()}


def agreement(settings: Settings, model: nn.Module, x: Tensor, y: Tensor) -> str:
    """How well the published pipeline's numbers agree with the legacy profile's, from the same noise."""
    ours = {name: values.numpy() for name, values in measured(legacy, model, x, y, LOADER_BATCH).items()}
    theirs = settings.neighbours(
        "published_numbers", model=settings.neighbours.file_of(model), **arrays(x, y), **noise_of_legacy(model, x, y)
    )
    same = np.isnan(ours["ssim_legacy"]) == np.isnan(theirs["ssim"])
    differences = {
        "Gini": np.abs(ours["gini_legacy"] - theirs["gini"]).max(),
        "SSIM": np.nanmax(np.abs(ours["ssim_legacy"] - theirs["ssim"])) if same.all() else np.inf,
        "log10 ROS, median image": np.nanmedian(np.abs(np.log10(ours["ros_quantus"] / theirs["ros"]))),
        "ROAD, share of verdicts": np.mean(ours["road_legacy"] != theirs["road"].astype(bool)),
    }
    return ", ".join(agreeing(name, float(found), TOLERANCES[name]) for name, found in differences.items())


def noise_of_legacy(model: nn.Module, x: Tensor, y: Tensor) -> dict[str, np.ndarray]:
    """The draws that the legacy profile makes for these images, as the neighbour adds them."""
    batch = Batch(model, x, y, range(len(x)), explainer("gradient"))
    ros = 0.02 + 0.18 * batch.uniform((5, *x.shape[1:]), SEED, "ros legacy")
    ros[:, :, 0, 0, 0] = 0  # Quantus 0.5.3 leaves the first entry as it is
    noise = {
        "ssim_noise": batch.normal((8, *x.shape[1:]), SEED, "ssim"),
        "ros_noise": ros,
        "road_noise": 0.01 * batch.normal(x.shape[1:], SEED, "road"),
    }
    return {name: values.cpu().numpy() for name, values in noise.items()}


if __name__ == "__main__":
    alone(__doc__, rows)
