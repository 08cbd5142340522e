"""End to end through the command line, in processes of their own, on real images."""

import json
import os
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

SMALL = ["training.epochs=1", "training.max_steps=12", "training.robust_validation.images=16", "data.validation=100"]
CONFIG = """
objective: {name: adversarial, eps: 0.1, steps: 2}
training: {batch_size: 64, device: cpu, robust_validation: {eps: 0.1, steps: 2}}
"""


def pellucid(*arguments, timeout=300):
    environment = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "120"}
    command = [sys.executable, "-m", "pellucid", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=environment, check=False)


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    path = tmp_path_factory.mktemp("configs") / "c.yaml"
    path.write_text(CONFIG)
    return path


@pytest.fixture(scope="module")
def results(tmp_path_factory, config):
    """N, A and G, trained for a few steps each, measured, reported."""
    folder = tmp_path_factory.mktemp("results")
    arms = {"N": ["objective={name: natural}"], "A": [], "G": ["smoothing.filter=gaussian"]}
    for name, changes in arms.items():
        done = pellucid("train", config, *SMALL, *changes, "--out", folder / "runs" / name)
        assert done.returncode == 0, done.stderr
    runs = [folder / "runs" / name for name in arms]
    done = pellucid(
        "measure", *runs, "--images", 20, "--profile", "both", "--robust-images", 40, "--steps", 3, "--json"
    )
    assert done.returncode == 0, done.stderr
    (folder / "measured.json").write_text(done.stdout)
    done = pellucid("report", folder)
    assert done.returncode == 0, done.stderr
    (folder / "report.txt").write_text(done.stdout)
    return folder


def test_help_answers_at_once():
    times = []
    for _ in range(3):
        began = time.perf_counter()
        done = pellucid("--help")
        times.append(time.perf_counter() - began)
    assert done.returncode == 0
    for command in ("quickstart", "train", "measure", "explain", "report"):
        assert command in done.stdout
    assert min(times) < 1


def test_the_run_directory_is_complete(results):
    run = results / "runs" / "A"
    names = {path.name for path in run.iterdir()}
    assert names == {
        "config.yaml",
        "manifest.json",
        "history.jsonl",
        "weights.safetensors",
        "checkpoint.safetensors",
        "measurements",
    }
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["status"] == "finished"
    assert manifest["data"]["train"] == 9900
    assert manifest["cost"]["passes_per_image"] == 3
    assert len(manifest["weights"]["sha256"]) == 64


def test_measurements_are_per_image_and_paired(results):
    rows = {}
    for run in (results / "runs").iterdir():
        path = run / "measurements" / "gradient.jsonl"
        rows[run.name] = [json.loads(line) for line in path.read_text().splitlines()]
    ids = [[row["id"] for row in found] for found in rows.values()]
    assert ids[0] == ids[1] == ids[2]
    assert len(ids[0]) == 20
    row = rows["A"][0]
    assert 0 <= row["gini"] < 1
    assert len(row["ssim"]) == len(row["ssim_legacy"]) == 8
    assert len(row["road"]) == len(row["road_legacy"]) == len(row["road_random"]) == 20


def test_json_is_one_object(results):
    assert isinstance(json.loads((results / "measured.json").read_text()), dict)


def test_the_report_stands_alone(results):
    page = (results / "report" / "index.html").read_text()
    assert "<script src" not in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    text = (results / "report.txt").read_text()
    assert str(results / "report" / "index.html") in text
    for name in ("N", "A", "G"):
        assert name in text


def test_measuring_again_does_nothing_and_training_again_neither(results, config):
    runs = [results / "runs" / name for name in "NAG"]
    path = runs[0] / "measurements" / "gradient.jsonl"
    before = path.stat().st_mtime_ns
    done = pellucid("measure", *runs, "--images", 20, "--profile", "both", "--robust-images", 40, "--steps", 3)
    assert done.returncode == 0, done.stderr
    assert "already measured" in done.stderr
    assert path.stat().st_mtime_ns == before
    done = pellucid("train", config, *SMALL, "--out", runs[1])
    assert done.returncode == 0
    assert "already trained" in done.stderr


def test_explain_draws_a_picture(results, tmp_path):
    image = tmp_path / "shirt.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)).save(image)
    done = pellucid(
        "explain", results / "runs" / "G", image, "--out", tmp_path / "maps", "--attribution", "smooth-grad"
    )
    assert done.returncode == 0, done.stderr
    (picture,) = (tmp_path / "maps").iterdir()
    assert Image.open(picture).size[0] > 300


def test_a_dry_run_writes_nothing(config, tmp_path):
    done = pellucid("train", config, *SMALL, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "expected cost: about" in done.stdout
    assert "steps: 2" in done.stdout


def test_killed_and_started_again_it_ends_with_the_same_weights(results, config, tmp_path):
    command = [sys.executable, "-m", "pellucid", "train", str(config), *SMALL, "training.checkpoint_seconds=0.001"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([*command, "--out", str(tmp_path / "A")], env=environment, stderr=subprocess.DEVNULL)
    while not (tmp_path / "A" / "checkpoint.safetensors").exists():
        time.sleep(0.005)
    process.kill()
    process.wait()
    subprocess.run([*command, "--out", str(tmp_path / "A")], env=environment, check=True, capture_output=True)
    ours = json.loads((tmp_path / "A" / "manifest.json").read_text())
    reference = json.loads((results / "runs" / "A" / "manifest.json").read_text())
    assert ours["weights"]["sha256"] == reference["weights"]["sha256"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "trian"),
        (["train", "{config}", "training.epocs=1", "--out", "{out}"], "did you mean 'epochs'"),
        (["train", "{config}", "model.name=lenett", "--out", "{out}"], "did you mean 'lenet'"),
        (["train", "{config}", "smoothing.filter=gausian", "--out", "{out}"], "did you mean 'gaussian'"),
        (["train", "{config}", "smoothing.after=pol1", "--out", "{out}"], "did you mean 'pool1'"),
        (["train", "{config}", "smoothing.after=fc1", "--out", "{out}"], "no spatial output"),
        (["train", "{config}", "data.name=folder", "--data-root", "{out}", "--out", "{out}"], "{out}"),
        (["train", "{config}"], "train needs --out"),
        (["train", "{out}/absent.yaml", "--out", "{out}"], "absent.yaml"),
        (["train", "{config}", "--uot", "x"], "did you mean '--out'"),
        (["measure", "{out}"], "not a run directory"),
        (["measure", "{run}", "--metric", "ginni"], "did you mean 'gini'"),
        (["measure", "{run}", "--attribution", "gradeint"], "did you mean 'gradient'"),
        (["measure", "{run}", "--profile", "claen"], "did you mean 'clean'"),
        (["measure", "{run}", "--images", "0"], "--images"),
        (["explain", "{run}", "{config}", "--out", "{out}"], "c.yaml"),
        (["report", "{out}"], "{out}"),
    ],
)
def test_bad_input_exits_2_with_one_line(results, config, tmp_path, arguments, message):
    names = {"config": config, "out": tmp_path / "out", "run": results / "runs" / "N"}
    done = pellucid(*(argument.format(**names) for argument in arguments))
    assert done.returncode == 2
    assert message.format(**names) in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Traceback" not in done.stderr


def test_a_damaged_checkpoint_is_named(results, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(results / "runs" / "N", run)
    weights = run / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    done = pellucid("measure", run)
    assert done.returncode == 2
    assert "damaged or truncated" in done.stderr


def test_a_run_of_another_config_is_not_overwritten(results, config):
    done = pellucid("train", config, *SMALL, "seed=1", "--out", results / "runs" / "A")
    assert done.returncode == 2
    assert "seed: 0 there, 1 here" in done.stderr


@pytest.fixture
def folder(tmp_path):
    """Three classes of colour images that a user might have."""
    draws = np.random.default_rng(0)
    for split, count in (("train", 12), ("test", 5)):
        for label in ("ant", "bee", "cäsar"):
            (tmp_path / "data" / split / label).mkdir(parents=True)
            for number in range(count):
                pixels = draws.integers(0, 256, (24, 24, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / "data" / split / label / f"{number}.png")
    return tmp_path / "data"


def on_folder(config, folder, out):
    changes = ["data={name: folder, validation: 6}", "training.max_steps=2", "training.batch_size=8"]
    return pellucid("train", config, *changes, "--data-root", folder, "--out", out)


def test_a_users_own_images_train(config, folder, tmp_path):
    done = on_folder(config, folder, tmp_path / "run")
    assert done.returncode == 0, done.stderr
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["data"]["classes"] == ["ant", "bee", "cäsar"]
    assert manifest["data"]["image"] == [3, 24, 24]


def test_a_run_that_could_not_start_leaves_its_folder_free(config, tmp_path):
    assert pellucid("train", config, *SMALL, "smoothing.after=fc1", "--out", tmp_path / "run").returncode == 2
    done = pellucid("train", config, *SMALL, "smoothing.after=pool1", "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("fault", ["truncated", "text", "empty class", "mixed channels", "missing"])
def test_unusable_images_exit_2_with_their_path(config, folder, tmp_path, fault):
    victim = folder / "train" / "bee" / "3.png"
    if fault == "truncated":
        victim.write_bytes(victim.read_bytes()[:200])
    elif fault == "text":
        victim.write_text("not an image")
    elif fault == "mixed channels":
        Image.fromarray(np.zeros((24, 24), dtype=np.uint8)).save(victim)
    else:
        victim = victim.parent if fault == "empty class" else folder / "train"
        shutil.rmtree(victim)
        if fault == "empty class":
            victim.mkdir()
        else:
            victim = folder  # "… has no folder 'train'"
    done = on_folder(config, folder, tmp_path / "run")
    assert done.returncode == 2
    assert str(victim) in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_weights_of_another_architecture_are_named(results, tmp_path):
    run, other = tmp_path / "run", results / "runs" / "G" / "weights.safetensors"
    shutil.copytree(results / "runs" / "N", run)
    shutil.copy(other, run / "weights.safetensors")
    done = pellucid("measure", run)
    assert done.returncode == 2
    assert "is not the file that manifest.json describes" in done.stderr
    manifest = json.loads((run / "manifest.json").read_text())
    manifest["weights"]["sha256"] = json.loads((results / "runs" / "G" / "manifest.json").read_text())["weights"][
        "sha256"
    ]
    (run / "manifest.json").write_text(json.dumps(manifest))
    done = pellucid("measure", run)
    assert done.returncode == 2
    assert "checkpoint for another architecture" in done.stderr
