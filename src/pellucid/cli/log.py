"""``pellucid log``: a run, replayed into a tracker."""

import re
from pathlib import Path
from typing import Annotated

import typer


def log(
    runs: Annotated[list[Path], typer.Argument(help="Run directories made by pellucid train.", metavar="RUN…")],
    to: Annotated[str, typer.Option(help="tensorboard, wandb, mlflow or trackio.", metavar="TRACKER")],
    directory: Annotated[Path, typer.Option("--dir", help="Folder of the tracker's files.", metavar="DIR")] = Path(
        "tracking"
    ),
) -> None:
    """Replay history, config and measurements of runs into a tracker's local files; nothing leaves this machine.

    A run that is there already is not logged again, unless it has changed since.
    """
    from pellucid.cli.export import measured
    from pellucid.integrations.loggers import log_run, read_record

    for run in runs:
        results = {f"{_word(found.group)}/{found.key}": found.value for found in measured(run).results}
        done = log_run(read_record(run, results), to, directory)
        typer.echo(f"{run.name}: {'logged to' if done else 'already in'} {directory} ({to})")


def _word(group: str) -> str:
    """The heading of a table's rows as a part of a metric's name."""
    return "_".join(re.findall(r"\w+", group.lower()))
