"""The ready workflow is valid, and every command in it and in the documentation parses against the real options."""

import re
import shlex
from pathlib import Path

import pytest
import typer
import yaml

from pellucid import cli
from pellucid.cli.gate import gate
from pellucid.cli.passport import passport

ROOT = Path(__file__).parents[2]
WORKFLOW = ROOT / "examples" / "github-action-gate.yml"


def documented(name):
    blocks = re.findall(
        r"^```\n(.*?)^```", (ROOT / "docs" / name).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    return [line for block in blocks for line in block.splitlines() if line.startswith("pellucid ")]


def in_workflow():
    steps = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"]["gate"]["steps"]
    return [step["run"] for step in steps if step.get("run", "").startswith("pellucid ")]


COMMANDS = {"gate": gate, "passport": passport, "train": cli.train, "measure": cli.measure}
LINES = [*in_workflow(), *documented("gate.md"), *documented("passport.md")]


@pytest.mark.parametrize("line", LINES, ids=[f"command-{place}" for place in range(len(LINES))])
def test_the_command_parses(line):
    _, name, *arguments = shlex.split(line, comments=True)
    app = typer.Typer()
    app.command()(COMMANDS[name])
    command = typer.main.get_command(app)
    assert command.make_context(name, arguments).params


def test_the_workflow_runs_the_whole_chain():
    found = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))
    assert set(found) == {"name", True, "permissions", "concurrency", "env", "jobs"}  # "on" is a truth value in YAML
    assert [line.split()[1] for line in in_workflow()] == ["train", "measure", "gate", "passport"]
    assert (ROOT / found["env"]["CONFIG"]).is_file()
    steps = found["jobs"]["gate"]["steps"]
    assert all(("run" in step) != ("uses" in step) for step in steps)
    assert all(re.fullmatch(r"actions/[\w-]+@v\d+", step["uses"]) for step in steps if "uses" in step)
    written = next(line for line in in_workflow() if "--junit" in line).split("--junit ")[1]
    assert any(step.get("with", {}).get("path") == written for step in steps)


def test_the_table_of_margins_is_that_of_the_code():
    from pellucid.gate.metrics import METRICS

    text = (ROOT / "docs" / "gate.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`[^|]+`) \|.*\| ([\d.]+) \| ([\d., ]+) \|$", text, re.MULTILINE)
    told = {}
    for names, margin, noises in rows:
        keys, each = re.findall(r"`(\w+)`", names), noises.split(", ")
        told |= {key: (float(margin), float(noise)) for key, noise in zip(keys, each, strict=True)}
    assert told == {name: (metric.margin, metric.seed_noise) for name, metric in METRICS.items()}
