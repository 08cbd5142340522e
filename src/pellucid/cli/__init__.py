"""The command line. Heavy imports stand inside the commands, so that ``pellucid --help`` answers at once."""

import os
import re
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from pellucid.cli import doctor, explore, export, gate, log, passport, study
from pellucid.errors import BadInput, RunFailed, unknown_name

# Click's own class, or that of the click inside newer typers.
UsageError: type[Exception] = typer.BadParameter.__mro__[1]

app = typer.Typer(
    help="Train image classifiers whose input gradients can be read as explanations, and measure how far it succeeded.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

METRICS_HELP = (
    "gini, ssim, ros, road (the default); misalignment, curvature, groups, held_out, interpretation, diffroad; all of "
    "these; alignment (where the data have attention maps). May be repeated."
)
RunPaths = Annotated[list[Path], typer.Argument(help="Run directories made by pellucid train.", metavar="RUN…")]


@app.command()
def quickstart(
    out: Annotated[Path, typer.Option(help="Folder for the runs and the report.")] = Path("quickstart-results"),
    seed: Annotated[int, typer.Option(min=0, help="Seed of all four runs.")] = 0,
) -> None:
    """Train N, A, G and P on the embedded Fashion-MNIST images, measure them, write the report (minutes on 2 cores)."""
    from pellucid.experiments.quickstart import quickstart as run

    run(out, seed=seed)
    _report(out)


@app.command()
def train(
    config: Annotated[Path, typer.Argument(help="YAML config.", metavar="CONFIG.yaml")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key=value", metavar="key=value…")] = None,
    out: Annotated[Path | None, typer.Option(help="Run directory; resumed if it exists.")] = None,
    start: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="Start from the weights of a file or a run; a run brings model, data and seed where CONFIG is silent.",
            metavar="RUN_OR_FILE",
        ),
    ] = None,
    max_accuracy_drop: Annotated[
        float | None,
        typer.Option(help="Keep the best maps among epochs that lose at most so many points against the start."),
    ] = None,
    data_root: Annotated[Path | None, typer.Option(help="Where to look for the data set.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print cost and resolved config only.")] = False,
) -> None:
    """Train one classifier, fine-tune one, or go on with one that was interrupted."""
    import yaml

    from pellucid.experiments import train as runs
    from pellucid.experiments.config import check, override_key, plain, read_values
    from pellucid.experiments.start import started_from

    raw = read_values(config, overrides)
    raw = raw if start is None else started_from(raw, start)
    trade_off = ["training.choose=trade_off", f"training.max_accuracy_drop={max_accuracy_drop}"]
    extra = [
        *([f"data.root={data_root.absolute()}"] if data_root else []),
        *(trade_off if max_accuracy_drop is not None else []),
    ]
    for override in extra:
        override_key(raw, override)
    resolved = check(raw)
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
    images: Annotated[
        int | None, typer.Option(min=1, help="Images that all runs classify correctly; 1000, or all with --until.")
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(help="Stop when 95 % intervals are tight: ci<0.01, METRIC:ci<0.01 (half width).", metavar="RULE"),
    ] = None,
    profile: Annotated[str, typer.Option(help="clean, legacy or both.")] = "clean",
    attribution: Annotated[list[str] | None, typer.Option(help="May be repeated.")] = None,
    metric: Annotated[list[str] | None, typer.Option(help=METRICS_HELP)] = None,
    eps: Annotated[float | None, typer.Option(min=0, help="Radius of the evaluation PGD, in pixels.")] = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps of the evaluation PGD.")] = 20,
    restarts: Annotated[int, typer.Option(min=1, help="Restarts of the evaluation PGD.")] = 1,
    robust_images: Annotated[int, typer.Option(min=1, help="Test images to attack.")] = 2000,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Images in one pass at most; by the free memory if absent.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure accuracy, robustness, sparsity, stability and faithfulness of runs, on the same images.

    Under torchrun (torchrun --nproc-per-node 2 -m pellucid measure RUN…) the processes share the images.
    """
    from pellucid.experiments import measure as measuring
    from pellucid.training.fit import is_main_process

    settings = measuring.make_settings(
        images=images,
        profile=profile,
        attributions=attribution or [],
        metrics=metric or [],
        attack={"eps": eps, "steps": steps, "restarts": restarts, "images": robust_images},
        seed=seed,
        until=until,
        batch_size=batch_size,
    )
    measuring.measure(runs, settings)
    if is_main_process():
        _print_table(runs, as_json=json)


@app.command()
def diffroar(
    runs: RunPaths,
    level: Annotated[
        list[float] | None,
        typer.Option(help="Share of the coordinates kept; may be repeated. If absent: 0.05, 0.1, 0.2, 0.3 and 0.5."),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Fresh models per level and side.")] = 3,
    epochs: Annotated[int | None, typer.Option(min=1, help="Of each training; the run's own budget if absent.")] = None,
    attribution: Annotated[
        list[str] | None, typer.Option(help="May be repeated; gradient if absent. random_map is the control.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Retrain on the pixels that an attribution puts first, and on those it puts last; goes on where it stopped."""
    from pellucid.experiments import diffroar as retraining

    levels = tuple(level) if level else retraining.LEVELS
    settings = retraining.DiffroarSettings(tuple(attribution or ["gradient"]), levels, seeds, epochs)
    retraining.diffroar(runs, settings)
    _print_diffroar(runs, as_json=json)


@app.command()
def explain(
    run: Annotated[Path, typer.Argument(help="Run directory.", metavar="RUN")],
    images: Annotated[list[Path], typer.Argument(help="Image files.", metavar="IMAGE…")],
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")],
    attribution: Annotated[list[str] | None, typer.Option(help="May be repeated.")] = None,
    duality: Annotated[
        str | None,
        typer.Option(
            help="Draw what a norm penalises, too: l1, elastic_net, group_norm, a dotted path.", metavar="NORM"
        ),
    ] = None,
    option: Annotated[
        list[str] | None, typer.Option(help="Of that norm, as eps=0.1; may be repeated.", metavar="key=value")
    ] = None,
) -> None:
    """Draw the saliency maps of image files."""
    from pellucid.experiments.duality import explain_duality, make_penalty
    from pellucid.experiments.explain import explain as run_explain
    from pellucid.files import write_atomic
    from pellucid.report.figures.duality import duality as duality_picture
    from pellucid.report.figures.explanation import explanation

    if option and duality is None:
        raise BadInput(f"the option '{option[0]}' belongs to a norm; name one with --duality")
    penalty = make_penalty(duality, option or []) if duality is not None else None
    explained = run_explain(run, images, attribution or ["gradient", "integrated_gradients"])
    duals = explain_duality(run, images, penalty) if penalty is not None else []
    stems = [found.path.stem for found in explained]
    again = [f"-{before + 1}" if (before := stems[:place].count(stem)) else "" for place, stem in enumerate(stems)]
    targets = [out / f"{stem}{suffix}.png" for stem, suffix in zip(stems, again, strict=True)]
    titles = [f"{found.path.name}: {found.predicted} ({found.probability:.0%})" for found in explained]
    for title, target, found in zip(titles, targets, explained, strict=True):
        write_atomic(target, explanation(found.image, found.maps, title))
        typer.echo(f"{title}  {target}")
    for title, target, (image, dual) in zip(titles, targets, duals, strict=False):  # none without --duality
        beside = target.with_name(f"{target.stem}-duality.png")
        full = f"{title}, {' '.join([str(duality), *(option or [])])}"
        write_atomic(beside, duality_picture(image, dual.perturbed, dual.maps, dual.numbers, full))
        typer.echo(f"{full}  {beside}")


@app.command()
def field(
    config: Annotated[Path, typer.Argument(help="YAML config, as configs/field.yaml.", metavar="CONFIG.yaml")],
    out: Annotated[Path, typer.Option(help="Folder for numbers, claims and figures; resumed if it exists.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key=value", metavar="key=value…")] = None,
) -> None:
    """Gradient fields in the plane, with and without misalignment and outliers; goes on where it stopped."""
    from pellucid.experiments.field.config import read_field_config
    from pellucid.experiments.field.study import run_study
    from pellucid.report.field import claims_table, write_field_report

    run_study(read_field_config(config, overrides), out)
    _show(claims_table(write_field_report(out)))
    typer.echo(f"claims: {out / 'report.md'}  numbers: {out / 'field.json'}  figures: {out / 'figures'}")


class _GridGroup(TyperGroup):
    """``pellucid grid CONFIG.yaml`` is ``pellucid grid run CONFIG.yaml``; ``--ray`` may stand without an address."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        first = args[0] if args else "--help"
        if first not in {"-h", "--help", *self.commands} and (first.startswith("-") or Path(first).suffix):
            args = ["run", *args]
        for place in [number for number, word in enumerate(args) if word == "--ray"]:
            following = args[place + 1] if place + 1 < len(args) else ""
            if not re.fullmatch(r"auto|local|ray://.+|[\w.-]+:\d+", following):
                args[place] = "--ray=local"
        return super().parse_args(ctx, args)


grid_app = typer.Typer(cls=_GridGroup, no_args_is_help=True)
app.add_typer(study.app, name="study")
app.add_typer(grid_app, name="grid", help="Many runs from one file: pellucid grid CONFIG.yaml --out DIR")
GridDirectory = Annotated[Path, typer.Argument(help="Folder of a grid.", metavar="DIR")]
Jobs = Annotated[int | None, typer.Option(min=1, help="Cells at a time; 1 if absent.")]
RayAddress = Annotated[
    str | None, typer.Option(help="Run on Ray: a cluster's address, or none for a local one.", metavar="[ADDRESS]")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@grid_app.command("run")
def grid_run(
    config: Annotated[Path, typer.Argument(help="YAML grid.", metavar="CONFIG.yaml")],
    out: Annotated[Path | None, typer.Option(help="Folder of the grid; what is done there is kept.")] = None,
    size: Annotated[str | None, typer.Option(help="One of the sizes of the file, where it has several.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print cells and price only.")] = False,
    jobs: Jobs = None,
    shard: Annotated[str | None, typer.Option(help="Only every N-th cell from the I-th.", metavar="I/N")] = None,
    ray: RayAddress = None,
    reuse: Annotated[list[Path] | None, typer.Option(help="Take finished runs from here; may be repeated.")] = None,
    json: AsJson = False,
) -> None:
    """Train all cells of a grid, measure them, write the report; goes on where it stopped, on any machine."""
    from pellucid.experiments.grid import run as grids
    from pellucid.experiments.grid.reuse import reuse as fill
    from pellucid.experiments.grid.spec import read_spec

    spec = read_spec(config, size)
    if out is None and not dry_run:
        raise BadInput("grid needs --out DIR, the folder to write to (or --dry-run)")
    grid = grids.planned(spec, out or Path())
    names = grids.shard(grid, shard)
    if dry_run:
        _print_price(grid, names, jobs or 1, as_json=json)
        return
    if ray is None:
        grids.check_devices(grid)
    grids.prepare(grid)
    for name in fill(grid, reuse or []):
        typer.echo(f"{name}: taken from a finished run", err=True)
    _run_grid(grid, names, jobs, ray, as_json=json)


@grid_app.command("retry")
def grid_retry(directory: GridDirectory, jobs: Jobs = None, ray: RayAddress = None, json: AsJson = False) -> None:
    """Run the failed cells of a grid again, and those that are not finished."""
    from pellucid.experiments.grid.run import retry
    from pellucid.experiments.grid.store import read_grid

    grid = read_grid(directory.absolute())
    typer.echo(f"failed, to be run again: {', '.join(retry(grid)) or 'none'}", err=True)
    _run_grid(grid, [cell.name for cell in grid.cells], jobs, ray, as_json=json)


@grid_app.command("status")
def grid_status(directory: GridDirectory, json: AsJson = False) -> None:
    """Where each cell of a grid stands."""
    from rich.console import Console

    from pellucid.experiments.grid.status import standings, status_table, summary
    from pellucid.experiments.grid.store import read_grid

    grid = read_grid(directory)
    found = standings(grid)
    if json:
        _print_standings(grid, found)
    else:
        Console().print(status_table(found), summary(found), sep="\n", highlight=False)


@grid_app.command("ls")
def grid_ls(directory: GridDirectory) -> None:
    """The run directories of a grid's trained cells, one a line, as in pellucid measure $(pellucid grid ls DIR)."""
    from pellucid.experiments.grid.store import read_grid

    grid = read_grid(directory)
    for cell in grid.cells:
        if grid.trained(cell.name):
            typer.echo(grid.run(cell.name))


def _run_grid(grid: Any, names: list[str], jobs: int | None, ray: str | None, *, as_json: bool) -> None:
    from pellucid.experiments.grid.local import LocalWorkers
    from pellucid.experiments.grid.run import run
    from pellucid.experiments.grid.status import standings
    from pellucid.experiments.grid.watch import Watch

    if ray is None:
        with Watch(grid) as watch:
            done = run(grid, names, LocalWorkers(grid, min(jobs or 1, len(names))), watch.tick)
    else:
        from pellucid.experiments.grid.on_ray import RayCluster

        with RayCluster(ray, grid, jobs) as cluster, Watch(grid) as watch:
            done = run(grid, names, cluster, watch.tick)
    if as_json:
        _print_standings(grid, standings(grid))
    elif done.trained < done.cells and not done.measured and not done.failure:
        measures = "" if grid.measure is None else "; the call that trains the last one measures"
        typer.echo(f"{done.trained} of {done.cells} cells are trained{measures}")
    if done.measured:
        _report(grid.directory, quiet=as_json)
    if done.failure:
        raise RunFailed(done.failure)


def _print_price(grid: Any, names: list[str], jobs: int, *, as_json: bool) -> None:
    import json

    from pellucid.experiments.grid.measuring import measure_settings
    from pellucid.experiments.grid.price import price

    cells = [cell for cell in grid.cells if cell.name in names]
    settings = None if grid.measure is None else measure_settings(grid.measure)
    cost = price(cells, grid.trained, settings, jobs=jobs, cpus=grid.cpus)
    if as_json:
        typer.echo(json.dumps(cost.plain() | {"names": names}))
        return
    for cell in cells:
        typer.echo(f"{cell.name}  {'trained' if grid.trained(cell.name) else f'{cell.steps} steps'}")
    typer.echo(str(cost))


def _print_standings(grid: Any, found: Any) -> None:
    import json

    from pellucid.experiments.grid.status import as_plain

    typer.echo(json.dumps(as_plain(grid, found), ensure_ascii=False))


for _command in (doctor.doctor, gate.gate, passport.passport, explore.explore, export.export, log.log):
    app.command()(_command)


@app.command()
def report(
    directory: Annotated[Path, typer.Argument(help="Folder that holds run directories.", metavar="DIR")],
) -> None:
    """Write DIR/report: one HTML page, tables (CSV, Markdown, LaTeX) and figures (SVG)."""
    _report(directory)


def _report(directory: Path, *, quiet: bool = False) -> None:
    from pellucid.report import terminal_table, write_report

    page = write_report(directory)
    if not quiet:
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


def _print_diffroar(directories: list[Path], *, as_json: bool) -> None:
    import json
    from dataclasses import asdict

    from pellucid.files import finite
    from pellucid.report.diffroar import diffroar_table, read_diffroar

    rows = read_diffroar(directories)
    if as_json:
        typer.echo(json.dumps(finite({"diffroar": [asdict(row) for row in rows]}), ensure_ascii=False))
    else:
        _show(diffroar_table(rows))


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
