"""Saving answers under load: a crowd of simulated participants in a served study, on this machine.

    python benchmarks/study_load.py [--participants 200] [--at-once 50] [--pause 1.0] [--db URL]

The server is a process of its own; the crowd reloads, double-clicks and vanishes, and as many as have vanished come
afterwards, as one would invite others. Printed: the time from sending an
answer to its acknowledgement (median, 99th percentile, largest), what was lost (nothing, or the program fails), and how
even the cells are. `--pause` is the mean time that a participant takes for an answer; with 0 they answer as fast as the
server lets them, which measures throughput, not waiting.
"""

import argparse
import random
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import httpx
import numpy as np

from pellucid.study import exporting
from pellucid.study.building import Explained, Material, build
from pellucid.study.protocol import Protocol
from pellucid.study.simulate import Asked, Habits, Summary, simulate
from pellucid.study.store import Answer, open_store

AWAY = 30.0
"""Seconds of silence after which the server gives a participant's place to others."""
MODELS = {"N": "N", "A": "A", "G": "G"}


def opinion(asked: Asked, rng: random.Random) -> dict[str, int]:
    """Any answer that is allowed."""
    most = len(asked.shown) if asked.block == "choice" else 5
    return {question: rng.randint(1, most) for question in asked.questions}


def make_study(folder: Path) -> None:
    """The published design: ten images and three models, made of noise."""
    rng = np.random.default_rng(0)
    items = [
        Explained(number, "noise", rng.random((1, 28, 28)), {name: rng.random((28, 28)) for name in MODELS})
        for number in range(12)
    ]
    build(Material(items[:10], items[10:], MODELS), Protocol(), folder, seed=0)


def serve(folder: Path, database: str | None) -> tuple["subprocess.Popen[str]", str]:
    """The server in a process of its own, and its open link."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "pellucid", "study", "serve", str(folder), "--port", str(port), "--open", "100000"]
    command += ["--away-after", str(AWAY / 60)]
    process = subprocess.Popen(
        command + (["--db", database] if database else []), stdout=subprocess.PIPE, text=True, bufsize=1
    )
    assert process.stdout is not None
    found = re.search(r"http\S+/join/\S+", process.stdout.readline())
    assert found
    while True:
        try:
            httpx.get(found[0])
            return process, found[0]
        except httpx.TransportError:
            time.sleep(0.1)


def tell(summary: Summary, seconds: float) -> None:
    """Print the times."""
    median, slow, slowest = (1000 * float(np.quantile(summary.seconds, share)) for share in (0.5, 0.99, 1))
    print(f"{summary.finished} finished, {summary.vanished} vanished, {summary.retries} retries, {seconds:.0f} s")
    print(f"{len(summary.seconds)} answers, {len(summary.seconds) / seconds:.0f} a second")
    print(f"saving an answer: median {median:.0f} ms, 99 % {slow:.0f} ms, slowest {slowest:.0f} ms")


def check(acknowledged: list[str], folder: Path, database: str | None) -> None:
    """Fail if an acknowledged answer is not stored exactly once, or the cells are uneven."""
    store = open_store(folder, database)
    with store.reading() as session:
        stored = Counter(answer.key for answer in session.query(Answer))
    cells = Counter(person["cell"] for person in exporting.rows(store)[1] if person["state"] == "finished")
    store.close()
    assert stored == Counter(acknowledged), "an acknowledged answer is missing, or stored twice"
    print(f"{len(stored)} answers stored, each once; finished sessions by cell: {sorted(cells.values())}")
    assert max(cells.values()) - min(cells.values()) <= 1, "the cells are uneven"


def main() -> None:
    """Build, serve, send the crowd, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--participants", type=int, default=200)
    parser.add_argument("--at-once", type=int, default=50)
    parser.add_argument("--pause", type=float, default=1.0)
    parser.add_argument("--db")
    options = parser.parse_args()
    habits = Habits(pause=options.pause, reloads=2, double_clicks=0.1, vanishing=0.1)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "study"
        make_study(folder)
        process, link = serve(folder, options.db)
        try:
            began = time.perf_counter()
            summary = simulate(link, options.participants, concurrency=options.at_once, ratings=opinion, habits=habits)
            tell(summary, time.perf_counter() - began)
            time.sleep(AWAY + 1)
            others = simulate(link, summary.vanished, concurrency=5, seed=1, ratings=opinion)
            check(summary.acknowledged + others.acknowledged, folder, options.db)
        finally:
            process.kill()
            process.wait()


if __name__ == "__main__":
    main()
