"""The full suite against exactly the forward and backward passes that it is made of.

    python benchmarks/bare_passes.py [--repeats 5] [--threads 2]

Clean profile: Gini (also of the centred logit's map), SSIM at 8 levels, relative output stability with 16 draws, ROAD
at 20 levels and its control with a random map. The floor makes the same passes, as large, and nothing else. Both take
turns unit by unit of images (`suite.py` has them, and measures the legacy profile, too). What is above the floor is
mostly ROAD's imputation, twice (the map and its random control): thousands of pixels to solve for, but no pass. What is
below it is the order of the weights: channels-last in the suite, the network's own in the floor.
"""

import torch
from torch import Tensor, nn

from pellucid.experiments.suite import images_per_pass, images_per_unit
from ratios import TIME, Row, Settings, alone, divided, timed
from suite import bare, network, pictures, suite

NETWORKS = {
    "lenet": ("LeNet", 256, 2.0),
    "small_cnn": ("32/64/1024 CNN", 64, 1.25),
    "resnet18": ("ResNet-18 at 224×224", 1, 1.15),
}
"""Name, how many images, and the target."""


def round_of(model: nn.Module, x: Tensor, y: Tensor, device: str) -> tuple[float, float]:
    """Seconds of the suite and of the bare passes, taking turns."""
    chunk, totals = images_per_pass(model, x[:1]), [0.0, 0.0]
    for place, part in enumerate(torch.arange(len(x)).split(images_per_unit(x))):
        for which in (0, 1) if place % 2 else (1, 0):
            work = (suite, bare)[which]
            given = x[part], y[part]
            totals[which] += timed(lambda w=work, g=given: w(model, *g, chunk=chunk, profile="clean"), device)()
    return totals[0], totals[1]


def compare(settings: Settings, name: str) -> Row:
    """The row of one network."""
    shown, count, target = NETWORKS[name]
    count = settings.size(count, 2)
    torch.manual_seed(0)
    model, x = network(name).to(settings.device), pictures(name, count).to(settings.device)
    with torch.no_grad():
        y = torch.cat([model(part).argmax(1) for part in x.split(32)])
    found = [round_of(model, x, y, settings.device) for _ in range(settings.repeats + 1)][1:]
    measured, floor = zip(*found, strict=True)
    images = "1 image" if count == 1 else f"{count} images"
    return Row(f"full suite (clean), {shown}, {images}", "its bare passes", divided(measured, floor), TIME, target)


def rows(settings: Settings) -> list[Row]:
    """Every network."""
    return [compare(settings, name) for name in (["lenet"] if settings.smallest else NETWORKS)]


if __name__ == "__main__":
    alone(__doc__, rows)
