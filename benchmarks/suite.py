"""What measuring costs against the passes that it is made of.

    python benchmarks/suite.py [--images 1000] [--repeats 5] [--threads 1] [--model lenet] [--profile clean]

The gradient is measured by Gini, SSIM at 8 levels, ROS and ROAD at 20 levels. `bare` makes exactly the passes that the
suite makes, on random images, in passes of the same size, and nothing else: no noise is drawn, no map is compared, no
pixel imputed.

- clean: 1 forward and 2 backward passes an image (the logit and the centred logit share the forward one), 8 + 16 of
  both for the noise of SSIM and of ROS, 2 × 20 forward ones for ROAD and its control with a random map.
- legacy: 1 + 8 + 5 forward and backward, 20 forward.

Both run in one process, image unit by image unit in turn; the ratio is that of the CPU times (which a busy machine
disturbs less than those of the clock) summed over a repeat.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor, nn

from pellucid import models
from pellucid.data import fashion_mnist_mini
from pellucid.experiments.suite import (
    LOADER_BATCH,
    METRICS,
    NOISE_LEVELS,
    ROAD_PERCENTAGES,
    ROS_DRAWS,
    Batch,
    clean,
    explainer,
    images_per_pass,
    images_per_unit,
    legacy,
)
from pellucid.gradients import centred_logit_of, gradient_of, input_gradient, logit_of
from pellucid.models.normalised import normalised

GRADIENTS = {"clean": len(NOISE_LEVELS) + ROS_DRAWS["ros_norm"], "legacy": len(NOISE_LEVELS) + ROS_DRAWS["ros_quantus"]}
FORWARDS = {"clean": 2 * len(ROAD_PERCENTAGES), "legacy": len(ROAD_PERCENTAGES)}


def network(name: str) -> nn.Module:
    channels, size = {"resnet18": (3, 224)}.get(name, (1, 28))
    built = getattr(models, name)(channels=channels, classes=10, image_size=size)
    return normalised(built, (0.3,) * channels, (0.35,) * channels).eval()


def pictures(name: str, count: int) -> Tensor:
    """Fashion-MNIST images, enlarged and in three channels where the network wants that."""
    x = fashion_mnist_mini(None, "test").batch(torch.arange(count) % 2000)[0]
    if name != "resnet18":
        return x
    return nn.functional.interpolate(x, (224, 224), mode="bilinear").repeat(1, 3, 1, 1)


def bare(model: nn.Module, x: Tensor, y: Tensor, *, chunk: int, profile: str) -> None:
    """The passes alone. The copies of an image are the image: what is in them costs nothing."""
    for start in range(0, len(x), chunk):
        target = y[start : start + chunk]
        leaf = x[start : start + chunk].detach().requires_grad_(True)
        with torch.enable_grad():
            logits = model(leaf)
            gradient_of(logit_of(target)(logits), leaf)
            if profile == "clean":
                gradient_of(centred_logit_of(target)(logits), leaf)
    copies, targets = x.detach().repeat(GRADIENTS[profile], 1, 1, 1), y.repeat(GRADIENTS[profile])
    for part in torch.arange(len(copies)).split(chunk):
        chosen = slice(int(part[0]), int(part[-1]) + 1)
        input_gradient(model, copies[chosen], logit_of(targets[chosen]))
    with torch.no_grad():
        masked = x.detach().repeat(FORWARDS[profile], 1, 1, 1)
        for batch in masked.split(chunk):
            model(batch)


def suite(model: nn.Module, x: Tensor, y: Tensor, *, chunk: int, profile: str) -> None:
    run: Callable[..., object] = {"clean": clean, "legacy": legacy}[profile]
    run(Batch(model, x, y, list(range(len(x))), explainer("gradient"), chunk=chunk), METRICS, seed=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--model", choices=["lenet", "small_cnn", "resnet18"], default="lenet")
    parser.add_argument("--profile", choices=list(GRADIENTS), default="clean")
    parser.add_argument("--chunk", type=int, help="images in a pass; by the free memory if absent")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    model, x = network(options.model), pictures(options.model, options.images)
    with torch.no_grad():
        y = torch.cat([model(part).argmax(1) for part in x.split(32)])
    chunk = options.chunk or images_per_pass(model, x[:1])
    unit = images_per_unit(x) if options.profile == "clean" else LOADER_BATCH
    contestants = {"bare": bare, "suite": suite}
    ratios, totals = [], []
    for repeat in range(-1, options.repeats):  # the first one warms up
        seconds = dict.fromkeys(contestants, 0.0)
        for place, start in enumerate(range(0, options.images, unit)):
            part = slice(start, start + unit)
            for name in list(contestants)[:: 1 if (place + repeat) % 2 else -1]:
                began = time.process_time()
                contestants[name](model, x[part], y[part], chunk=chunk, profile=options.profile)
                seconds[name] += time.process_time() - began
            if repeat < 0:
                break
        if repeat >= 0:
            ratios.append(seconds["suite"] / seconds["bare"])
            totals.append(seconds)
    print(f"{options.model}, {options.images} images, {options.profile}, {chunk} a pass, {options.threads} threads")
    for name in contestants:
        print(f"{name}: {median(total[name] for total in totals):.2f} s (median of {options.repeats})")
    print(f"suite / bare: {median(ratios):.2f} ({min(ratios):.2f} … {max(ratios):.2f})")


if __name__ == "__main__":
    main()
