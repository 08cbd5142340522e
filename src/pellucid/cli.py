"""The command line. Heavy imports stand inside the commands, so that ``pellucid --help`` answers at once."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from pellucid.errors import BadInput, RunFailed, unknown_name

# Click's own class, or that of the click inside newer typers.
UsageError: type[Exception] = typer.BadParameter.__mro__[1]

app = typer.Typer(
    help="Train image classifiers whose input gradients can be read as explanations, and measure how far it succeeded.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

RunPaths = Annotated[list[Path], typer.Argument(help="Run directories made by pellucid train.", metavar="RUN…")]


@app.command()
def quickstart(
    out: Annotated[Path, typer.Option(help="Folder for the runs and the report.")] = Path("quickstart-results"),
    seed: Annotated[int, typer.Option(min=0, help="Seed of all three runs.")] = 0,
) -> None:
    """Train N, A and G on the embedded Fashion-MNIST images, measure them, write the report (minutes on 2 cores)."""
    from pellucid.experiments.quickstart import quickstart as run

    run(out, seed=seed)
    _report(out)


@app.command()
def train(
    config: Annotated[Path, typer.Argument(help="YAML config.", metavar="CONFIG.yaml")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key=value", metavar="key=value…")] = None,
    out: Annotated[Path | None, typer.Option(help="Run directory; resumed if it exists.")] = None,
    data_root: Annotated[Path | None, typer.Option(help="Where to look for the data set.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print cost and resolved config only.")] = False,
) -> None:
    """Train one classifier, or go on with one that was interrupted."""
    import yaml

    from pellucid.experiments import train as runs
    from pellucid.experiments.config import plain, read_config

    extra = [f"data.root={data_root.absolute()}"] if data_root else []
    resolved = read_config(config, [*(overrides or []), *extra])
    if dry_run:
        typer.echo(f"# expected cost: {runs.dry_run(resolved)}")
        typer.echo(yaml.safe_dump(plain(resolved), sort_keys=False, allow_unicode=True), nl=False)
        return
    if out is None:
        raise BadInput("train needs --out RUN, the folder to write to (or --dry-run)")
    runs.train(resolved, out)


@app.command()
def measure(
    runs: RunPaths,
    images: Annotated[int, typer.Option(min=1, help="Images that all runs classify correctly.")] = 1000,
    profile: Annotated[str, typer.Option(help="clean, legacy or both.")] = "clean",
    attribution: Annotated[list[str] | None, typer.Option(help="May be repeated.")] = None,
    metric: Annotated[list[str] | None, typer.Option(help="gini, ssim, ros, road; may be repeated.")] = None,
    eps: Annotated[float | None, typer.Option(min=0, help="Radius of the evaluation PGD, in pixels.")] = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps of the evaluation PGD.")] = 20,
    restarts: Annotated[int, typer.Option(min=1, help="Restarts of the evaluation PGD.")] = 1,
    robust_images: Annotated[int, typer.Option(min=1, help="Test images to attack.")] = 2000,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure accuracy, robustness, sparsity, stability and faithfulness of runs, on the same images."""
    from pellucid.experiments import measure as measuring

    settings = measuring.make_settings(
        images=images,
        profile=profile,
        attributions=attribution or [],
        metrics=metric or [],
        attack={"eps": eps, "steps": steps, "restarts": restarts, "images": robust_images},
        seed=seed,
    )
    measuring.measure(runs, settings)
    _print_table(runs, as_json=json)


@app.command()
def explain(
    run: Annotated[Path, typer.Argument(help="Run directory.", metavar="RUN")],
    images: Annotated[list[Path], typer.Argument(help="Image files.", metavar="IMAGE…")],
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")],
    attribution: Annotated[list[str] | None, typer.Option(help="May be repeated.")] = None,
) -> None:
    """Draw the saliency maps of image files."""
    from pellucid.experiments.explain import explain as run_explain
    from pellucid.files import write_atomic
    from pellucid.report.figures.explanation import explanation

    explained = run_explain(run, images, attribution or ["gradient", "integrated_gradients"])
    stems = [found.path.stem for found in explained]
    for number, found in enumerate(explained):
        title = f"{found.path.name}: {found.predicted} ({found.probability:.0%})"
        again = f"-{stems[:number].count(stems[number]) + 1}" if stems[number] in stems[:number] else ""
        target = out / f"{stems[number]}{again}.png"
        write_atomic(target, explanation(found.image, found.maps, title))
        typer.echo(f"{title}  {target}")


@app.command()
def report(
    directory: Annotated[Path, typer.Argument(help="Folder that holds run directories.", metavar="DIR")],
) -> None:
    """Write DIR/report: one HTML page, tables (CSV, Markdown, LaTeX) and figures (SVG)."""
    _report(directory)


def _report(directory: Path) -> None:
    from pellucid.report import terminal_table, write_report

    page = write_report(directory)
    _show(terminal_table(directory))
    typer.echo(f"report: {page}")


def _print_table(directories: list[Path], *, as_json: bool) -> None:
    import json
    from dataclasses import asdict

    from pellucid.files import finite
    from pellucid.report import clean_table, read_listed, to_terminal, trade_off_table

    runs = read_listed(directories)
    if as_json:
        typer.echo(json.dumps(finite(asdict(clean_table(runs))), ensure_ascii=False))
    else:
        _show(to_terminal(trade_off_table(runs)))


def _show(table: Any) -> None:
    from rich.console import Console

    Console().print(table)


def main() -> None:
    """Run the command line: exit 0 when done, 1 when something failed while running, 2 for bad input."""
    # Threads that spin while they wait make small networks ten times slower as soon as another program wants a core.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        code = app(standalone_mode=False)
    except BadInput as error:
        _stop(str(error), 2)
    except RunFailed as error:
        _stop(str(error), 1)
    except UsageError as error:
        _stop(_usage(error), 2)
    except (typer.Abort, KeyboardInterrupt):
        _stop("interrupted; the same command continues where it can", 1)
    except MemoryError:
        _stop("out of memory; use a smaller batch_size or smaller images", 1)
    except OSError as error:
        _stop(f"{error.filename or 'the system'}: {error.strerror or error}", 1)
    else:
        sys.exit(code if isinstance(code, int) else 0)


def _usage(error: Any) -> str:
    """The one line for a misspelt command or option, or a value of the wrong kind."""
    misspelt = getattr(error, "option_name", None)
    if misspelt and error.ctx is not None:
        known = [name for parameter in error.ctx.command.params for name in parameter.opts if name.startswith("--")]
        return str(unknown_name("option", misspelt, known))
    return str(error.format_message())


def _stop(message: str, code: int) -> None:
    print(f"pellucid: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
