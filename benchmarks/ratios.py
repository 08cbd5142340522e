"""What the benchmarks share: contestants in turn, ratios with their spread, and the options of every script."""

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Literal

import torch

from neighbours import Neighbours, neighbours

FASTER, TIME, MEMORY = "× faster", "× the time", "× the memory"
COLUMNS = ("work", "against", "ratio", "spread", "target", "met", "what was checked")


@dataclass(frozen=True)
class Settings:
    """How to measure.

    Attributes
    ----------
    neighbours
        Their running process; None where rows against them are left out.
    smallest
        Sizes at which every benchmark takes seconds: to see that it runs, its numbers say nothing.
    """

    repeats: int = 5
    threads: int = 2
    device: str = "cpu"
    neighbours: Neighbours | None = None
    smallest: bool = False

    def size(self, usual: int, smallest: int) -> int:
        return smallest if self.smallest else usual


@dataclass(frozen=True)
class Row:
    """One line of the table: × faster than a neighbour, or × the time or memory of a floor."""

    work: str
    against: str
    ratios: Sequence[float]
    unit: Literal["× faster", "× the time", "× the memory"]
    target: float | None = None
    checked: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the median reaches the target; None where there is none."""
        if self.target is None:
            return None
        return median(self.ratios) >= self.target if self.unit == FASTER else median(self.ratios) <= self.target

    def __str__(self) -> str:
        bound = "" if self.target is None else f"{'≥' if self.unit == FASTER else '≤'} {self.target:g}"
        spread = f"{figure(min(self.ratios))} … {figure(max(self.ratios))}"
        met = {None: "", True: "yes", False: "**no**"}[self.met]
        ratio = f"{figure(median(self.ratios))} {self.unit}"
        return line((self.work, self.against, ratio, spread, bound, met, self.checked))


Rows = Callable[[Settings], list[Row]]


class Disagreement(Exception):
    """Two contestants did the same work and got different numbers: their times mean nothing."""


def agreeing(what: str, difference: float, tolerance: float) -> str:
    """A few words about how well the contestants' numbers agree; Disagreement if they do not."""
    if not difference <= tolerance:  # NaN, too
        raise Disagreement(f"{what} differs by {difference:.1e}, more than {tolerance:.0e}")
    return f"{what} ±{difference:.0e} (≤ {tolerance:.0e})"


def figure(value: float) -> str:
    """Three significant figures."""
    return f"{value:.0f}" if value >= 100 else f"{value:#.3g}"


def in_turn(contestants: Mapping[str, Callable[[], float]], repeats: int) -> dict[str, list[float]]:
    """The seconds that every contestant reports, round by round, after one round to warm up.

    Taking turns lets whatever else the machine does fall on all of them; the ratio is taken round by round.
    """
    found: dict[str, list[float]] = {name: [] for name in contestants}
    for repeat in range(repeats + 1):
        for name, contestant in contestants.items():
            seconds = contestant()
            print(f"  {repeat}/{repeats} {name}: {seconds:.3g} s", file=sys.stderr, flush=True)
            if repeat:
                found[name].append(seconds)
    return found


def divided(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """The ratio of each round."""
    return [a / b for a, b in zip(above, below, strict=True)]


def timed(work: Callable[[], object], device: str = "cpu") -> Callable[[], float]:
    """A contestant: calling it does the work and returns the seconds it took."""

    def contestant() -> float:
        wait_for(device)
        began = time.perf_counter()
        work()
        wait_for(device)
        return time.perf_counter() - began

    return contestant


def wait_for(device: str) -> None:
    """Until a GPU has done what it was asked to."""
    if device != "cpu":
        torch.cuda.synchronize()


def table(rows: Sequence[Row]) -> str:
    """The rows in Markdown."""
    return "\n".join([line(COLUMNS), line(["---"] * len(COLUMNS)), *map(str, rows)])


def line(cells: Sequence[str]) -> str:
    """One line of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def circumstances(settings: Settings) -> str:
    """When, on what machine, and with which versions: one sentence."""
    machine = f"{os.cpu_count()} cores of {_processor()}, {settings.threads} threads"
    if settings.device != "cpu":
        machine = f"{torch.cuda.get_device_name()} beside {machine}"
    versions = {"Python": platform.python_version(), "torch": torch.__version__}
    if settings.neighbours is not None:
        versions |= settings.neighbours.versions()
    listed = ", ".join(f"{name} {version}" for name, version in versions.items())
    return f"Measured {datetime.now(UTC):%Y-%m-%d}: {machine}; {listed}; {settings.repeats} repeats."


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()


def options(description: str) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5, help="rounds; one more warms up")
    parser.add_argument("--threads", type=int, default=2, help="of every contestant")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--without-neighbours", action="store_true", help="leave out rows that need other packages")
    parser.add_argument("--smallest", action="store_true", help="see that it runs: sizes whose numbers say nothing")
    return parser


def settings_from(chosen: argparse.Namespace) -> Settings:
    """Settings, with the neighbours' process started and the threads set in this one."""
    torch.set_num_threads(chosen.threads)
    torch.backends.cudnn.allow_tf32 = False  # its rounding would hide differences between contestants
    others = None if chosen.without_neighbours else neighbours(chosen.threads, chosen.device)
    return Settings(chosen.repeats, chosen.threads, chosen.device, others, chosen.smallest)


def alone(description: str, rows: Rows) -> None:
    """What a benchmark does when it is run by itself: print its table."""
    settings = settings_from(options(description).parse_args())
    print(circumstances(settings), table(rows(settings)), sep="\n\n")
