"""`pellucid field` from the outside: computed, killed and continued, asked wrongly."""

import json
import os
import subprocess
import sys
import time

import pytest

CONFIG = """
sets: [moons]
corruptions: [flips, far]
rates: [0.1]
seeds: 2
train_points: 60
test_points: 60
network: {width: 8}
training: {steps: 20}
methods: {cross_entropy: {}, misalignment: {weight: 2}, gaussian_noise: {sigma: 0.2}}
"""
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "120"}


def pellucid(*arguments):
    command = [sys.executable, "-m", "pellucid", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=ENVIRONMENT, check=False)


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    path = tmp_path_factory.mktemp("config") / "field.yaml"
    path.write_text(CONFIG)
    return path


@pytest.fixture(scope="module")
def study(config, tmp_path_factory):
    out = tmp_path_factory.mktemp("studies") / "whole"
    done = pellucid("field", config, "--out", out)
    assert done.returncode == 0, done.stderr
    for words in ("smoother field", "gaussian noise", "within noise", "report.md"):
        assert words in done.stdout
    return out


def numbers(out):
    return {path.name: path.read_bytes() for path in sorted((out / "blocks").glob("*.json"))}


def test_the_folder_holds_claims_numbers_and_pictures(study):
    assert {path.name for path in study.iterdir()} == {"config.yaml", "blocks", "figures", "field.json", "report.md"}
    assert len(json.loads((study / "field.json").read_text())["claims"]) == 14
    assert {path.name for path in (study / "figures").iterdir()} == {
        f"{name}.{kind}" for name in ("claims", "field-moons") for kind in ("svg", "png")
    }


def test_killed_between_blocks_it_goes_on_and_ends_with_the_same_numbers(study, config, tmp_path):
    out = tmp_path / "killed"
    command = [sys.executable, "-m", "pellucid", "field", str(config), "--out", str(out)]
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (out / "blocks" / "moons-clean.json").exists():
        assert process.poll() is None
        time.sleep(0.005)
    process.kill()
    process.wait()
    first = (out / "blocks" / "moons-clean.json").stat().st_mtime_ns
    done = pellucid("field", config, "--out", out)
    assert done.returncode == 0, done.stderr
    assert (out / "blocks" / "moons-clean.json").stat().st_mtime_ns == first
    assert numbers(out) == numbers(study)
    again = pellucid("field", config, "--out", out)
    assert again.returncode == 0
    assert "already computed" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{config}", "methods.misalignment.weight=-1", "--out", "{out}"], "weight"),
        (["{config}", "sets=[mons]", "--out", "{out}"], "did you mean 'moons'"),
        (["{config}", "training.step=3", "--out", "{out}"], "did you mean 'steps'"),
        (["{config}", "seeds=3", "--out", "{study}"], "seeds: 2 there, 3 here"),
        (["{config}"], "--out"),
        (["absent.yaml", "--out", "{out}"], "absent.yaml"),
    ],
)
def test_bad_input_exits_2_with_one_line(study, config, tmp_path, arguments, message):
    names = {"config": config, "out": tmp_path / "out", "study": study}
    done = pellucid("field", *(argument.format(**names) for argument in arguments))
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
