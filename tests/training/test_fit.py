import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import small_run
import torch
from stripes import stripes
from torch import nn

from pellucid.errors import BadInput, RunFailed
from pellucid.modes import unwrapped
from pellucid.objectives import natural
from pellucid.training import fit as fitting
from pellucid.training.checkpoint import load
from pellucid.training.fit import CHECKPOINT, HISTORY, WEIGHTS, Stopped, fit
from pellucid.training.regularisation import regularise
from pellucid.training.settings import RegulariserSettings, TrainingSettings

SCRIPT = Path(small_run.__file__)


def weights(directory):
    return {name: tensor for name, tensor in load(directory / CHECKPOINT)[0].items() if name.startswith("model.")}


def assert_bitwise_equal(a, b):
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    directory = tmp_path_factory.mktemp("uninterrupted")
    _, state = small_run.run(directory)
    return directory, state


def test_it_learns_and_writes_its_directory(uninterrupted):
    directory, state = uninterrupted
    assert state.history[-1]["clean_accuracy"] > 0.8
    rows = [json.loads(line) for line in (directory / HISTORY).read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    assert rows[-1]["step"] == 4 * (200 // 16)
    assert {path.name for path in directory.iterdir()} == {CHECKPOINT, WEIGHTS, HISTORY}
    best = max(row["robust_accuracy"] for row in rows)
    assert next(row["epoch"] for row in rows if row["robust_accuracy"] == best) == load(directory / WEIGHTS)[1]["epoch"]


@pytest.mark.parametrize("optimizer", ["adam", "adamw", {"name": "sgd", "lr": 0.05}, "ranger"])
def test_a_run_stopped_at_random_steps_ends_with_the_same_weights(tmp_path, monkeypatch, optimizer):
    if optimizer == "ranger":
        pytest.importorskip("pytorch_optimizer")
    _, whole = small_run.run(tmp_path / "whole", optimizer=optimizer)
    genuine, stops = fitting.optimise, sorted(random.Random(7).sample(range(1, 48), 3))

    def stop_there(*args, step, **options):
        if stops and step == stops[0]:
            stops.pop(0)
            raise KeyboardInterrupt
        return genuine(*args, step=step, **options)

    monkeypatch.setattr(fitting, "optimise", stop_there)
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            small_run.run(tmp_path / "parts", optimizer=optimizer)
        torch.rand(5)  # the global generator is somewhere else on every start
    _, state = small_run.run(tmp_path / "parts", optimizer=optimizer)
    assert_bitwise_equal(weights(tmp_path / "whole"), weights(tmp_path / "parts"))
    drop = {"seconds", "seconds_left", "images_per_second"}
    assert [{k: v for k, v in row.items() if k not in drop} for row in state.history] == [
        {k: v for k, v in row.items() if k not in drop} for row in whole.history
    ]


def start(directory):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, str(SCRIPT), str(directory)], env=environment, stderr=subprocess.PIPE)


def wait_for(path, process):
    while not path.exists() and process.poll() is None:
        time.sleep(0.01)


def test_killed_at_a_random_moment_it_goes_on_bitwise(tmp_path, uninterrupted):
    delays = random.Random(os.environ.get("PYTEST_SEED", "11"))
    for _ in range(2):
        process = start(tmp_path)
        wait_for(tmp_path / CHECKPOINT, process)
        time.sleep(delays.uniform(0, 0.3))
        process.kill()
        process.wait()
    process = start(tmp_path)
    assert process.wait(120) == 0, process.stderr.read().decode()
    assert_bitwise_equal(weights(tmp_path), weights(uninterrupted[0]))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_leave_a_complete_checkpoint(tmp_path, monkeypatch, number):
    genuine = fitting.optimise

    def interrupted(*args, step, **options):
        if step == 5:
            os.kill(os.getpid(), number)
        return genuine(*args, step=step, **options)

    monkeypatch.setattr(fitting, "optimise", interrupted)
    with pytest.raises(Stopped, match=f"{number.name} after step 6; the same command continues"):
        small_run.run(tmp_path, checkpoint_seconds=1000)
    assert load(tmp_path / CHECKPOINT)[1]["state"]["step"] == 6


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_checkpoint(tmp_path):
    calls = 0

    def explodes(model, x, y, *, generator):
        nonlocal calls
        calls += 1
        loss = natural(model, x, y)
        return type(loss)(loss.total * (float("nan") if calls == 8 else 1.0), loss.parts)

    settings = TrainingSettings(**(small_run.SETTINGS | {"checkpoint_seconds": 1e-9}))
    with pytest.raises(RunFailed, match="stopped at step 8: the loss is nan"):
        fit(
            small_run.small_model(),
            explodes,
            stripes(200, 0),
            stripes(60, 1),
            settings=settings,
            seed=0,
            directory=tmp_path,
        )
    tensors, header = load(tmp_path / CHECKPOINT)
    assert header["state"]["step"] == 7
    assert all(torch.isfinite(tensor).all() for name, tensor in tensors.items() if tensor.is_floating_point())


def test_an_infinite_gradient_of_a_finite_loss_stops_too(tmp_path):
    def vertical(model, x, y, *, generator):
        loss = natural(model, x, y)
        zero = unwrapped(model)[0].weight[0, 0, 0, 0] * 0.0
        return type(loss)(loss.total + zero.sqrt(), loss.parts)

    settings = TrainingSettings(**small_run.SETTINGS)
    with pytest.raises(RunFailed, match="stopped at step 1: the gradient norm is nan"):
        fit(
            small_run.small_model(),
            vertical,
            stripes(200, 0),
            stripes(60, 1),
            settings=settings,
            seed=0,
            directory=tmp_path,
        )


def test_a_full_disk_fails_with_a_sentence_and_can_go_on(tmp_path, monkeypatch, uninterrupted):
    from pellucid import files

    genuine, writes = files.os.replace, 0

    def full(source, target):
        nonlocal writes
        writes += 1
        if writes == 9:
            raise OSError(28, "No space left on device")
        genuine(source, target)

    monkeypatch.setattr(files.os, "replace", full)
    with pytest.raises(RunFailed, match="No space left on device"):
        small_run.run(tmp_path)
    monkeypatch.undo()
    small_run.run(tmp_path)
    assert_bitwise_equal(weights(tmp_path), weights(uninterrupted[0]))


def test_the_estimate_touches_nothing(tmp_path):
    from pellucid.training.estimate import estimate

    model = small_run.small_model().train()
    model[4].eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    settings = TrainingSettings(**small_run.SETTINGS)
    found = estimate(model, small_run.OBJECTIVE, stripes(200, 0), stripes(60, 1), settings=settings, seed=0)
    assert found.passes_per_image == 3
    assert found.steps == 48
    assert 0 < found.seconds < 60
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert model[0].training
    assert not model[4].training


@pytest.mark.parametrize(
    ("weight", "every", "target", "passes"), [(1, 1, None, 4), (1, 2, None, 2.5), (0, 1, None, 1), (0, 4, 0.05, 1.75)]
)
def test_the_estimate_counts_terms_in_the_steps_that_have_them(weight, every, target, passes):
    from pellucid.training.estimate import estimate

    term = RegulariserSettings(name="misalignment", weight=weight, every=every, target=target, draws=2)
    objective = regularise(natural, (term,))
    settings = TrainingSettings(**small_run.SETTINGS)
    model = small_run.small_model()
    found = estimate(model, objective, stripes(200, 0), stripes(60, 1), settings=settings, seed=0)
    assert found.passes_per_image == pytest.approx(passes)


def test_two_processes_train_like_one(tmp_path):
    """Without BatchNorm, dropout or random starts the averaged gradients of two halves are those of the whole batch."""
    script = Path(__file__).with_name("two_processes.py")
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    torchrun = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node",
        "2",
        "--rdzv-backend",
        "c10d",
        "--rdzv-endpoint",
        "localhost:0",
    ]
    subprocess.run([sys.executable, str(script), str(tmp_path / "one")], env=environment, check=True, timeout=120)
    subprocess.run([*torchrun, str(script), str(tmp_path / "two")], env=environment, check=True, timeout=240)
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    assert one.keys() == two.keys()
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=1e-4, atol=1e-6)


def test_a_batch_that_cannot_be_shared_is_refused(tmp_path, monkeypatch):
    class Three:
        world_size = 3

    monkeypatch.setattr(fitting, "launch", lambda _: Three())
    with pytest.raises(BadInput, match="batch_size 16 cannot be shared over 3 processes"):
        small_run.run(tmp_path)


def test_the_unknown_optimizer_and_schedule_are_named():
    from pellucid.training.settings import Named

    with pytest.raises(BadInput, match="did you mean 'adamw'"):
        fitting.make_optimizer(nn.Linear(1, 1), Named(name="adamww"))
    with pytest.raises(BadInput, match="did you mean 'cosine'"):
        fitting.make_schedule(Named(name="cosin"))


def test_a_checkpoint_that_cannot_be_read_leaves_the_weights_in_their_order(tmp_path):
    (tmp_path / CHECKPOINT).write_bytes(b"not a checkpoint")
    model = small_run.small_model()
    order = model[0].weight.stride()
    with pytest.raises((BadInput, RunFailed), match="checkpoint") as held:  # alive, or what it holds tidies up
        fit(
            model,
            small_run.OBJECTIVE,
            stripes(200, 0),
            stripes(60, 1),
            settings=TrainingSettings(**small_run.SETTINGS),
            seed=3,
            directory=tmp_path,
        )
    assert model[0].weight.stride() == order, held.value
