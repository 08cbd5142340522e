"""Trackers: a finished or running run, replayed into TensorBoard, W&B, MLflow or trackio. Nothing leaves the machine.

The truth is the run directory; a tracker's run can be made again from it at any time. Each adapter looks whether its
folder holds the run already, and replaces it only if the run has changed since.
"""

import contextlib
import hashlib
import io
import json
import math
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pellucid.errors import BadInput, unknown_name
from pellucid.experiments.manifest import MANIFEST
from pellucid.experiments.start import config_of
from pellucid.files import read_json, read_json_lines, write_json
from pellucid.integrations.extras import library
from pellucid.training.fit import HISTORY

__all__ = ["TRACKERS", "Record", "log_run", "read_record"]

PROJECT = "pellucid"
MARKER = "pellucid.json"
"""Beside what an adapter wrote: of which state of the run it is."""


@dataclass(frozen=True)
class Record:
    """What a tracker is told of a run.

    Attributes
    ----------
    name
        The directory's name, and the key.
    key
        What tells the run from any other: eight hexadecimal digits.
    config
        Dotted keys and their values.
    history
        (step, seconds since the start, numbers by name) for every epoch.
    results
        The run's measurements by name.
    created
        Seconds since 1970.
    """

    name: str
    key: str
    config: dict[str, Any]
    history: tuple[tuple[int, float, dict[str, float]], ...]
    results: dict[str, float]
    created: float

    @property
    def digest(self) -> str:
        """Changes with whatever a tracker is told."""
        told = json.dumps([self.name, self.config, self.history, self.results], sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()[:16]

    @property
    def last_step(self) -> int:
        """Where the results stand."""
        return self.history[-1][0] if self.history else 0


def read_record(run: Path, results: Mapping[str, float] | None = None) -> Record:
    """The record of a run directory; `results` are its measurements, which undefined numbers do not enter.

    Raises
    ------
    BadInput
        If it is no run directory, or a file of it is damaged.
    """
    if not (run / MANIFEST).exists():
        raise BadInput(f"{run} is not a run directory (no {MANIFEST}); make one with pellucid train --out")
    manifest = read_json(run / MANIFEST)
    rows = read_json_lines(run / HISTORY) if (run / HISTORY).exists() else []
    config = _flat(config_of(run))
    own = hashlib.sha256(json.dumps([manifest["created"], config], sort_keys=True).encode()).hexdigest()[:8]
    return Record(
        name=f"{run.absolute().name}-{own}",
        key=own,
        config=config,
        history=tuple((int(row["step"]), float(row["seconds"]), _numbers(row)) for row in rows),
        results={name: float(number) for name, number in (results or {}).items() if math.isfinite(number)},
        created=datetime.fromisoformat(manifest["created"]).timestamp(),
    )


def log_run(record: Record, tracker: str, directory: Path) -> bool:
    """Replay a record into a tracker's files in `directory`. Returns False if it is there already, unchanged.

    Raises
    ------
    BadInput
        If there is no such tracker, or it is not installed.
    """
    if tracker not in TRACKERS:
        raise unknown_name("tracker", tracker, TRACKERS)
    directory.mkdir(parents=True, exist_ok=True)
    return TRACKERS[tracker](record, directory.absolute())


def to_tensorboard(record: Record, directory: Path) -> bool:
    """Event files in `directory`/<name>, at the times of the training."""
    library("tensorboard", extra="loggers")
    folder = directory / record.name
    if _state(folder) == record.digest:
        return False
    for old in folder.glob("events.out.tfevents.*"):
        old.unlink()
    writer = library("torch.utils.tensorboard", extra="loggers").SummaryWriter(str(folder))
    for step, seconds, numbers in record.history:
        for name, number in numbers.items():
            writer.add_scalar(name, number, step, walltime=record.created + seconds)
    for name, number in record.results.items():
        writer.add_scalar(name, number, record.last_step)
    writer.add_text("config", "\n".join(f"    {key}: {value}" for key, value in record.config.items()))
    writer.close()
    write_json(folder / MARKER, {"digest": record.digest})
    return True


def to_wandb(record: Record, directory: Path) -> bool:
    """An offline run of W&B in `directory`/wandb, which ``wandb sync`` may send later."""
    earlier = list((directory / "wandb").glob(f"offline-run-*-{PROJECT}-{record.key}"))
    if any(_state(folder) == record.digest for folder in earlier):
        return False
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    wandb = library("wandb", extra="loggers")
    for folder in earlier:
        shutil.rmtree(folder)
    settings = wandb.Settings(silent=True, console="off", disable_git=True, save_code=False, x_disable_stats=True)
    run = wandb.init(
        mode="offline",
        project=PROJECT,
        id=f"{PROJECT}-{record.key}",
        name=record.name,
        dir=str(directory),
        config=record.config,
        settings=settings,
        reinit="create_new",
    )
    for step, _, numbers in record.history:
        run.log(numbers, step=step)
    run.summary.update(record.results)
    run.finish()
    write_json(Path(run.dir).parent / MARKER, {"digest": record.digest})
    return True


def to_mlflow(record: Record, directory: Path) -> bool:
    """A run in the experiment "pellucid" of `directory`/mlflow.db (mlflow ui --backend-store-uri sqlite:///…)."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    mlflow, entities = library("mlflow", extra="loggers"), library("mlflow.entities", extra="loggers")
    library("sqlalchemy", extra="loggers")
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{directory / 'mlflow.db'}")
    known = client.get_experiment_by_name(PROJECT)
    artifacts = (directory / "mlflow-artifacts").as_uri()
    experiment = known.experiment_id if known else client.create_experiment(PROJECT, artifact_location=artifacts)
    earlier = client.search_runs([experiment], f"tags.`{PROJECT}.run` = '{record.key}'")
    if any(run.data.tags.get(f"{PROJECT}.digest") == record.digest for run in earlier):
        return False
    for run in earlier:
        client.delete_run(run.info.run_id)
    start = round(1000 * record.created)
    tags = {f"{PROJECT}.run": record.key}
    run_id = client.create_run(experiment, start_time=start, tags=tags, run_name=record.name).info.run_id
    metrics = [
        entities.Metric(name, number, start + round(1000 * seconds), step)
        for step, seconds, numbers in [*record.history, (record.last_step, 0.0, record.results)]
        for name, number in numbers.items()
    ]
    for part in range(0, len(metrics), 1000):  # the most that one call takes
        client.log_batch(run_id, metrics=metrics[part : part + 1000])
    client.log_batch(run_id, params=[entities.Param(key, str(value)) for key, value in record.config.items()])
    client.set_tag(run_id, f"{PROJECT}.digest", record.digest)
    client.set_terminated(run_id)
    return True


def to_trackio(record: Record, directory: Path) -> bool:
    """A run in trackio's local files in `directory`/trackio (TRACKIO_DIR=… trackio show)."""
    folder = directory / "trackio"
    for remote in ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL"):
        os.environ.pop(remote, None)
    os.environ["TRACKIO_DIR"] = str(folder)
    trackio = library("trackio", extra="loggers")
    if Path(trackio.utils.TRACKIO_DIR) != folder:  # read once, when it is first imported
        raise BadInput(f"trackio already writes to {trackio.utils.TRACKIO_DIR} in this process; log from another one")
    earlier = _trackio_runs(trackio, record.name)
    if any((run.config or {}).get("digest") == record.digest for run in earlier):
        return False
    for run in earlier:
        run.delete()
    config = record.config | {"digest": record.digest}
    with contextlib.redirect_stdout(io.StringIO()):  # it speaks of uploads that do not happen
        run = trackio.init(
            PROJECT, name=record.name, config=config, embed=False, auto_log_gpu=False, auto_log_cpu=False
        )
        for step, _, numbers in [*record.history, (record.last_step, 0.0, record.results)]:
            run.log(numbers, step=step)
        trackio.finish()
    return True


TRACKERS: dict[str, Callable[[Record, Path], bool]] = {
    "tensorboard": to_tensorboard,
    "wandb": to_wandb,
    "mlflow": to_mlflow,
    "trackio": to_trackio,
}


def _trackio_runs(trackio: Any, name: str) -> list[Any]:
    """The runs of that name, none if nothing was ever logged there."""
    try:
        return [run for run in trackio.Api().runs(PROJECT) if run.name == name]
    except ValueError:  # there is no such project
        return []


def _state(folder: Path) -> str | None:
    marker = folder / MARKER
    return str(read_json(marker)["digest"]) if marker.exists() else None


def _flat(value: Any, place: str = "") -> dict[str, Any]:
    """Nested dictionaries as dotted keys; lists of plain values stay."""
    if isinstance(value, dict) and value:
        return {k: v for key, item in value.items() for k, v in _flat(item, f"{place}.{key}".strip(".")).items()}
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        return {k: v for at, item in enumerate(value) for k, v in _flat(item, f"{place}.{at}".strip(".")).items()}
    return {place: value}


def _numbers(row: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a line of the history, the loss's parts among them."""
    flat = {key.replace(".", "/"): number for key, number in _flat(dict(row)).items()}
    dropped = {"step", "seconds", "seconds_left"}
    kept = {key: n for key, n in flat.items() if isinstance(n, int | float) and not isinstance(n, bool)}
    return {key: float(n) for key, n in kept.items() if key not in dropped}
