"""The peak memory of the suite: with more images, ROAD levels, noise draws or points of a path, and with larger passes.

    python benchmarks/memory.py [--repeats 5] [--threads 2]

On a CPU every measurement is a fresh process (Linux), and what counts is by how much its resident memory grew at most
while it measured; on a GPU what torch allocated at most. Networks with their first weights, legacy profile.
"""

import ctypes
import multiprocessing
import os
from dataclasses import dataclass, replace
from pathlib import Path

import torch

import fashion
from pellucid.attributions import integrated_gradients
from pellucid.experiments.suite import LOADER_BATCH, METRICS, ROAD_PERCENTAGES, Batch, explainer, legacy
from pellucid.experiments.suite.headline import Measurement, stability_row
from pellucid.metrics.faithfulness import road_curve
from pellucid.metrics.stability import one_sided_noise, ros_quantus
from ratios import MEMORY, Row, Settings, alone, divided

NOT_GROWING = 1.1
"""What counts as not growing: resident memory is only known to about a megabyte."""
M_MMAP_THRESHOLD, TENSOR_BYTES = -3, 2**16


@dataclass(frozen=True)
class Probe:
    """What is measured, on how many images and with how many in a pass; 0 levels, draws and points: the whole suite."""

    network: str
    images: int
    chunk: int = 64
    levels: int = 0
    draws: int = 0
    points: int = 0
    threads: int = 2
    device: str = "cpu"

    def batches(self) -> list[Batch]:
        model = fashion.trained(self.network, 0, self.device)
        x = torch.rand(self.images, 1, 28, 28, generator=torch.Generator().manual_seed(0)).to(self.device)
        with torch.no_grad():
            y = torch.cat([model(part).argmax(1) for part in x.split(16)])
        return [
            Batch(model, x[ids], y[ids], ids.tolist(), explainer("gradient"), chunk=self.chunk)
            for ids in torch.arange(self.images).split(LOADER_BATCH)
        ]

    def measure(self, batch: Batch) -> object:
        if self.levels:
            percentages = [99 * level / self.levels for level in range(self.levels)]
            return road_curve(batch.predict, batch.x, batch.y, batch.saliency, noise=None, percentages=percentages)
        if self.draws:
            return Measurement(self.stability, self.draws)(batch, 0)
        if self.points:
            return integrated_gradients(batch.model, batch.x, batch.y, steps=self.points, chunk=self.chunk)
        return legacy(batch, METRICS, 0)

    def stability(self, batch: Batch, seed: int) -> dict[str, torch.Tensor]:
        noise = one_sided_noise(batch.uniform((self.draws, *batch.x.shape[1:]), seed, "ros"))
        return stability_row("ros", ros_quantus, batch, batch.x[:, None] + noise)


def peak(probe: Probe) -> float:
    """Megabytes by which memory grew at most while measuring."""
    torch.set_num_threads(probe.threads)
    if probe.device == "cpu":  # glibc gives freed tensors back at once, so that what is resident is what is in use
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, TENSOR_BYTES)
    batches = probe.batches()
    before = _reset(probe.device)
    rows = [probe.measure(batch) for batch in batches]
    grown = _highest(probe.device) - before
    assert len(rows) == len(batches)
    return grown


def _reset(device: str) -> float:
    """Forget the peak; what is in use now."""
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated() / 2**20
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return _highest(device)


def _highest(device: str) -> float:
    if device != "cpu":
        return torch.cuda.max_memory_allocated() / 2**20
    # Not getrusage: its peak is inherited from the process that started this one.
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))


def peaks(probe: Probe, repeats: int) -> list[float]:
    """Of fresh processes, forked from one that has only imported what is needed."""
    if probe.device != "cpu":
        return [peak(probe) for _ in range(repeats)]
    here, context = Path(__file__), multiprocessing.get_context("forkserver")
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if str(here.parent) not in paths:  # Python 3.11's fork server does not get sys.path, and would preload nothing
        os.environ["PYTHONPATH"] = os.pathsep.join([str(here.parent), *filter(None, paths)])
    context.set_forkserver_preload([here.stem])
    with context.Pool(1, maxtasksperchild=1) as pool:
        return pool.map(peak, [probe] * repeats, chunksize=1)


def rows(settings: Settings) -> list[Row]:
    """What makes memory grow, and what must not."""
    few, many = settings.size(250, 8), settings.size(1000, 16)
    levels, draws = len(ROAD_PERCENTAGES), 16
    suite = Probe("lenet", few, threads=settings.threads, device=settings.device)
    part = replace(suite, network="small_cnn", images=settings.size(16, 1))
    more_levels, fewer_levels = replace(part, levels=4 * levels), replace(part, levels=levels)
    more_draws, fewer_draws = replace(part, draws=4 * draws), replace(part, draws=draws)
    more_points, fewer_points = replace(part, points=200), replace(part, points=50)
    lines = [
        (f"full suite, LeNet, {many} images", replace(suite, images=many), f"{few} images", suite, NOT_GROWING),
        (f"ROAD, {4 * levels} levels, 32/64/1024 CNN", more_levels, f"{levels} levels", fewer_levels, NOT_GROWING),
        (f"ROS, {4 * draws} draws, 32/64/1024 CNN", more_draws, f"{draws} draws", fewer_draws, NOT_GROWING),
        ("integrated gradients, 200 points, 32/64/1024 CNN", more_points, "50 points", fewer_points, NOT_GROWING),
        ("full suite, 32/64/1024 CNN, 256 images a pass", replace(part, chunk=256), "64 images a pass", part, None),
    ]
    table = []
    for work, larger, against, smaller, target in lines:
        above, below = (peaks(probe, settings.repeats) for probe in (larger, smaller))
        sizes = f"{max(above):.0f} MB and {max(below):.0f} MB at most"
        table.append(Row(f"peak memory: {work}", against, divided(above, below), MEMORY, target, sizes))
    return table


if __name__ == "__main__":
    alone(__doc__, rows)
