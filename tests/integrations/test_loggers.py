"""Runs replayed into trackers: what comes out is the history, and twice in is once there. No network."""

import importlib.util
import json
import os
import shutil
import socket
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from pellucid.cli.export import measured
from pellucid.cli.log import log
from pellucid.errors import BadInput
from pellucid.files import read_json_lines
from pellucid.integrations.loggers import log_run, read_record

RESULTS = {"gradient/gini": 0.5, "gradient/ssim_at_0.1": 0.25}


@pytest.fixture(autouse=True)
def nobody_is_called(monkeypatch):
    """Whoever connects to another machine fails the test."""
    genuine = socket.socket.connect

    def connect(self, address):
        assert self.family == socket.AF_UNIX or address[0] in {"127.0.0.1", "localhost", "::1"}, address
        return genuine(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect)
    for name in ("WANDB_MODE", "WANDB_API_KEY", "MLFLOW_TRACKING_URI", "TRACKIO_SPACE_ID"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def run(measured_run, tmp_path):
    """A run of two epochs."""
    directory = Path(shutil.copytree(measured_run, tmp_path / "A-0"))
    (row,) = read_json_lines(directory / "history.jsonl")
    rows = [row, row | {"step": 40, "loss": 1.5, "epoch": 2, "seconds": row["seconds"] + 1, "robust_accuracy": None}]
    (directory / "history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return directory


def tensorboard_scalars(directory):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (folder,) = directory.iterdir()
    events = EventAccumulator(str(folder)).Reload()
    return {name: {e.step: e.value for e in events.Scalars(name)} for name in events.Tags()["scalars"]}, events


def mlflow_runs(directory):
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{directory / 'mlflow.db'}")
    return client, client.search_runs([client.get_experiment_by_name("pellucid").experiment_id])


def wandb_records(content):
    """The records of W&B's file: the log format of LevelDB after a header of 7 bytes."""
    place, whole = 7, b""
    while place + 7 <= len(content):
        if 32768 - place % 32768 < 7:  # the rest of a block is padding
            place += 32768 - place % 32768
            continue
        length, kind = int.from_bytes(content[place + 4 : place + 6], "little"), content[place + 6]
        whole += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in {1, 4}:  # full, last
            yield whole
            whole = b""


def wandb_scalars(directory):
    """The steps in the log file of an offline run, and its summary and config."""
    from wandb.proto.wandb_internal_pb2 import Record

    (path,) = directory.glob("wandb/offline-run-*/*.wandb")
    rows, summary, config = [], {}, {}
    for data in wandb_records(path.read_bytes()):
        record = Record.FromString(data)
        kind = record.WhichOneof("record_type")
        if kind == "history":
            rows.append(
                {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
            )
        if kind == "summary":
            summary |= {i.key or "/".join(i.nested_key): json.loads(i.value_json) for i in record.summary.update}
        if kind == "run":
            config |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
    return rows, summary, config


def test_the_record_is_the_run_directory(run):
    record = read_record(run, RESULTS | {"undefined": float("nan")})
    assert record.name.startswith("A-0-")
    assert record.config["objective.eps"] == 0.05
    assert [step for step, _, _ in record.history] == [20, 40]
    last = record.history[-1][2]
    assert last["loss"] == 1.5
    assert "parts/adversarial_cross_entropy" in last
    assert "robust_accuracy" not in last
    assert record.results == RESULTS
    assert record.digest != read_record(run, {}).digest
    assert read_record(run, RESULTS).digest == record.digest


def test_tensorboard(run, tmp_path):
    record, out = read_record(run, RESULTS), tmp_path / "out"
    assert [log_run(record, "tensorboard", out), log_run(record, "tensorboard", out)] == [True, False]
    scalars, events = tensorboard_scalars(out)
    assert scalars["loss"] == pytest.approx({20: record.history[0][2]["loss"], 40: 1.5})
    assert scalars["gradient/gini"] == {40: 0.5}
    assert events.Scalars("loss")[0].wall_time == pytest.approx(record.created + record.history[0][1], abs=1e-3)
    assert b"objective.eps: 0.05" in events.Tensors("config/text_summary")[0].tensor_proto.string_val[0]
    assert log_run(read_record(run, {"gradient/gini": 0.75}), "tensorboard", out)
    assert tensorboard_scalars(out)[0]["gradient/gini"] == {40: 0.75}
    assert len(list(out.glob("*/events*"))) == 1


def test_mlflow(run, tmp_path):
    pytest.importorskip("mlflow")
    record, out = read_record(run, RESULTS), tmp_path / "out"
    assert [log_run(record, "mlflow", out), log_run(record, "mlflow", out)] == [True, False]
    client, (found,) = mlflow_runs(out)
    assert (found.info.run_name, found.info.status) == (record.name, "FINISHED")
    assert found.data.params["objective.eps"] == "0.05"
    assert found.data.metrics["gradient/gini"] == 0.5
    history = client.get_metric_history(found.info.run_id, "loss")
    assert [(metric.step, metric.value) for metric in history] == [(20, record.history[0][2]["loss"]), (40, 1.5)]
    assert log_run(read_record(run, {"gradient/gini": 0.75}), "mlflow", out)
    (found,) = mlflow_runs(out)[1]
    assert found.data.metrics["gradient/gini"] == 0.75


def test_wandb_offline(run, tmp_path):
    pytest.importorskip("wandb")
    record, out = read_record(run, RESULTS), tmp_path / "out"
    assert [log_run(record, "wandb", out), log_run(record, "wandb", out)] == [True, False]
    rows, summary, config = wandb_scalars(out)
    assert [(row["_step"], row["loss"]) for row in rows] == [(20, record.history[0][2]["loss"]), (40, 1.5)]
    assert summary["gradient/gini"] == 0.5
    assert config["objective.eps"] == 0.05
    assert log_run(read_record(run, {"gradient/gini": 0.75}), "wandb", out)
    assert wandb_scalars(out)[1]["gradient/gini"] == 0.75


def test_trackio(run, tmp_path, monkeypatch):
    if importlib.util.find_spec("trackio") is None:  # it reads its folder when it is imported
        pytest.skip("needs trackio")
    monkeypatch.setenv("TRACKIO_SPACE_ID", "somebody/dashboard")  # no reason to send anything there
    record, out = read_record(run, RESULTS), tmp_path / "out"
    assert [log_run(record, "trackio", out), log_run(record, "trackio", out)] == [True, False]
    import trackio
    from trackio.sqlite_storage import SQLiteStorage

    (found,) = trackio.Api().runs("pellucid")
    assert found.name == record.name
    assert found.config["objective.eps"] == 0.05
    rows = SQLiteStorage.get_logs("pellucid", record.name)
    assert [(row["step"], row["loss"]) for row in rows if "loss" in row] == [
        (20, record.history[0][2]["loss"]),
        (40, 1.5),
    ]
    assert [row["gradient/gini"] for row in rows if "gradient/gini" in row] == [0.5]
    assert log_run(read_record(run, {"gradient/gini": 0.75}), "trackio", out)
    (found,) = trackio.Api().runs("pellucid")
    with pytest.raises(BadInput, match="log from another one"):
        log_run(record, "trackio", tmp_path / "elsewhere")


def test_the_command_logs_measurements_and_says_what_is_there(measured_run, tmp_path):
    app = typer.Typer()
    app.command()(log)
    words = [str(measured_run), "--to", "tensorboard", "--dir", str(tmp_path)]
    first, second = (CliRunner().invoke(app, words).output for _ in range(2))
    assert first.startswith("A-0: logged to")
    assert second.startswith("A-0: already in")
    (gini,) = [found for found in measured(measured_run).results if (found.group, found.key) == ("Gradient", "gini")]
    assert tensorboard_scalars(tmp_path)[0]["gradient/gini"] == {20: pytest.approx(gini.value)}


def test_bad_input(run, tmp_path, monkeypatch):
    with pytest.raises(BadInput, match="did you mean 'mlflow'"):
        log_run(read_record(run), "ml-flow", tmp_path)
    with pytest.raises(BadInput, match="not a run directory"):
        read_record(tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "wandb", None)
    with pytest.raises(BadInput, match=r"needs wandb: pip install 'pellucid\[loggers\]'"):
        log_run(read_record(run), "wandb", tmp_path)


def test_a_running_run_can_be_logged(run, tmp_path):
    os.remove(run / "history.jsonl")
    assert log_run(read_record(run), "tensorboard", tmp_path / "out")
