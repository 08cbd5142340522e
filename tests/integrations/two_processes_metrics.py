"""The metrics of 21 images, shared out over two processes (MEETING FILE.json RANK), or measured by one alone."""

import json
import sys
from pathlib import Path

import torch
from torch import distributed, nn

from pellucid.integrations.metrics import Gini, InputStability, RelativeOutputStability


def numbers(rank, world):
    """Mean, images measured and images left out, of each metric, over all processes."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(1, 6, 3), nn.Tanh(), nn.Flatten(), nn.Linear(216, 4)).eval()
        x = torch.rand(21, 1, 8, 8)
    with torch.no_grad():
        y = model(x).argmax(1)
    y[5] = (y[5] + 1) % 4  # one misclassified image is left out
    metrics = {"gini": Gini(), "stability": InputStability(noise=0.2), "ros": RelativeOutputStability()}
    for start in range(4 * rank, 21, 4 * world):
        part = slice(start, min(start + 4, 21))
        for metric in metrics.values():
            metric.update(model, x[part], y[part], range(21)[part])
    return {name: [metric.compute().item(), metric.measured, metric.undefined] for name, metric in metrics.items()}


if __name__ == "__main__":
    torch.set_num_threads(1)
    meeting, target, rank = sys.argv[1:]
    distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=int(rank), world_size=2)
    found = numbers(int(rank), 2)
    if rank == "0":
        Path(target).write_text(json.dumps(found))
    distributed.destroy_process_group()
