"""Measures a run, alone or as one of torchrun's processes; notes which images, and dies after some units if told to."""

import os
import sys
from pathlib import Path

import torch

from pellucid.experiments import measure as measuring
from pellucid.experiments.measure import make_settings, measure
from pellucid.experiments.measure.rows import Study

run, rule, units = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
torch.set_num_threads(1)
genuine, done = Study._clean, []


def noted(self, positions):
    if len(done) == units:
        os._exit(9)
    done.append(positions)
    with (run / "units.log").open("a") as file:
        file.write(f"{int(positions[0])}\n")
    return genuine(self, positions)


Study._clean = noted
measuring.code_hash = lambda: "the same"  # whoever edits the package between two runs would start the second one anew
settings = make_settings(
    images=400 if rule == "all" else None,
    profile="clean",
    attributions=["gradient"],
    metrics=["gini"],
    attack={"eps": 0.1, "steps": 1, "images": 300},
    seed=0,
    until=None if rule == "all" else rule,
)
measure([run], settings)
