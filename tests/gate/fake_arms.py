"""Arms of one recipe, made in memory: images differ in difficulty, seeds differ, and so does every seed on every image.

How often the gate fails arms that are alike:  python tests/gate/fake_arms.py  (minutes)
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from pellucid.gate import gate
from pellucid.gate.metrics import METRICS
from pellucid.report.arms import Arm
from pellucid.report.runs import Columns

LEVELS = 4
DEFAULT = ("accuracy", "robust_accuracy", "gini", "ssim", "ros", "road")


def stated():
    """The noise between seeds that the gate takes as given."""
    return {name: METRICS[name].seed_noise for name in DEFAULT}


def pair(run, sizes, rng, *, noise, worse=0.0, images=80, tested=300):
    """Baseline and candidate of `sizes` seeds on the same images; the candidate's Gini is `worse`."""
    hard, easy = rng.normal(size=images), rng.normal(size=tested)
    arms = []
    for name, size, shift in zip("bc", sizes, (0.0, worse), strict=True):
        runs = tuple(one_run(run, f"{name}{seed}", hard, easy, rng, noise, shift) for seed in range(size))
        arms.append(Arm(name, name, "made up", runs))
    return arms


def one_run(run, name, hard, easy, rng, noise, worse):
    seed = {metric: sd * rng.normal() for metric, sd in noise.items()}
    images, tested = len(hard), len(easy)
    own = rng.normal(size=(4, images))
    gini = 0.6 + seed["gini"] - worse + 0.05 * hard + 0.03 * own[0]
    ssim = 0.6 + seed["ssim"] + 0.1 * hard[:, None] + 0.08 * rng.normal(size=(images, LEVELS))
    ssim[rng.random(ssim.shape) < 0.04] = np.nan
    ros = 10 ** (1 + seed["ros"] + 0.3 * hard + 0.2 * own[2])
    fall = 35 * (1 + seed["road"]) + 15 * hard + 10 * own[3]
    road = (np.arange(1, 100, 5)[None] < fall[:, None]).astype(float)
    correct = rng.random(tested) < np.clip(0.85 + seed["accuracy"] + 0.08 * easy, 0, 1)
    robust = correct & (rng.random(tested) < np.clip(0.6 + seed["robust_accuracy"] + 0.1 * easy, 0, 1))
    maps = Columns(np.arange(images), {"gini": gini, "ssim": ssim, "ros_norm": ros, "road": road})
    accuracy = Columns(np.arange(tested), {"correct": correct.astype(float), "robust": robust.astype(float)})
    manifest = dict(run.manifest) | {"weights": {"sha256": name}}
    return replace(run, path=Path(name), manifest=manifest, accuracy=accuracy, attributions={"gradient": maps})


def alarms(run, sizes, repeats, *, noise, scope="recipe", margins=None, seed=0):
    """How many of `repeats` gates of alike arms fail."""
    rng = np.random.default_rng(seed)
    found = 0
    for _ in range(repeats):
        baseline, candidate = pair(run, sizes, rng, noise=noise)
        found += not gate(baseline, candidate, wanted=margins, scope=scope).passed
    return found


if __name__ == "__main__":
    import tempfile

    sys.path.insert(0, str(Path(__file__).parents[1] / "report"))
    from fake_runs import write_runs

    from pellucid.report import read_run

    with tempfile.TemporaryDirectory() as folder:
        made = read_run(write_runs(Path(folder), ("N",), images=12) / "runs" / "N")
    none, nothing = dict.fromkeys(DEFAULT, 0.0), dict.fromkeys(DEFAULT, 0.0)
    for label, sizes, noise, scope, margins in [
        ("1 against 1, stated noise", (1, 1), stated(), "recipe", None),
        ("1 against 1, stated noise, margins 0", (1, 1), stated(), "recipe", nothing),
        ("2 against 2, stated noise, margins 0", (2, 2), stated(), "recipe", nothing),
        ("5 against 1, margins 0", (5, 1), stated(), "recipe", nothing),
        ("3 against 3, margins 0", (3, 3), stated(), "recipe", nothing),
        ("5 against 5, margins 0", (5, 5), stated(), "recipe", nothing),
        ("one model, margins 0", (1, 1), none, "model", nothing),
    ]:
        rate = alarms(made, sizes, 2000, noise=noise, scope=scope, margins=margins) / 2000
        print(f"{label}: {100 * rate:.1f} %", flush=True)
