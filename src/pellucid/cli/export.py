"""``pellucid export``: a run as a folder for the Hugging Face hub, or as an ONNX file."""

from pathlib import Path
from typing import Annotated, Any

import typer

from pellucid.errors import BadInput


def export(
    run: Annotated[Path, typer.Argument(help="Run directory made by pellucid train.", metavar="RUN")],
    to: Annotated[Path | None, typer.Option(help="Write weights and a model card here.", metavar="FOLDER")] = None,
    push: Annotated[
        str | None, typer.Option(help="Upload the folder to the hub, too (uses the network).", metavar="OWNER/NAME")
    ] = None,
    public: Annotated[bool, typer.Option("--public", help="Let everybody see a repository made by --push.")] = False,
    licence: Annotated[str, typer.Option("--license", help="Of the weights: apache-2.0, cc-by-4.0, …")] = "unknown",
    onnx: Annotated[Path | None, typer.Option(help="Write an ONNX file here, and compare it.", metavar="FILE")] = None,
) -> None:
    """Hand a trained model on; exit code 1 if the ONNX file gives other logits than the model."""
    if push is not None and to is None:
        raise BadInput(f"--push uploads a folder: say where to write it, as in --to {push.rpartition('/')[2]}")
    if to is None and onnx is None:
        raise BadInput("export needs --to FOLDER, --onnx FILE or both")
    if to is not None:
        _to_folder(run, to, push, public=public, licence=licence)
    if onnx is not None:
        _to_onnx(run, onnx)


def _to_folder(run: Path, folder: Path, name: str | None, *, public: bool, licence: str) -> None:
    from pellucid.integrations.hub import export_run, push

    export_run(run, folder, measured=measured(run), name=name, licence=licence)
    typer.echo(f"model and card: {folder}")
    if name is not None:
        typer.echo(f"pushed: {push(folder, name, private=not public)}")


def measured(run: Path) -> Any:
    """The run's measurements as the model card wants them."""
    from pellucid.integrations.card import Measured, Result
    from pellucid.passport.limits import limits_of
    from pellucid.report import clean_table, read_listed

    if not (run / "measurements" / "measurement.json").exists():
        return Measured()
    (found,) = read_listed([run])
    table = clean_table([found])
    pairs = [(row, cell) for row in table.rows for cell in row.cells if cell and not row.detail and row.group != "Cost"]
    results = [
        Result(
            key=row.key,
            group=row.group,
            label=row.label,
            value=cell.value,
            low=cell.low,
            high=cell.high,
            n=cell.n,
            dropped=cell.dropped,
            unit=row.unit,
            direction=row.direction,
            aggregate=row.aggregate,
        )
        for row, cell in pairs
    ]
    limits = [f"{name.replace('_', ' ')}: {text}" for name, text in limits_of([row.key for row, _ in pairs]).items()]
    attack = found.measurement["robustness"]
    return Measured(tuple(results), table.notes[:1], tuple(limits), attack if "eps" in attack else None)


def _to_onnx(run: Path, path: Path) -> None:
    import json

    from pellucid.experiments.train import load_run
    from pellucid.integrations.onnx import TOLERANCE, export_onnx, largest_difference

    _, manifest, model, splits = load_run(run)
    x, _ = splits.test.batch(range(min(16, len(splits.test))))
    notes = {"classes": json.dumps(splits.test.classes), "weights_sha256": manifest["weights"]["sha256"]}
    export_onnx(model, path, example=x, notes=notes)
    largest = largest_difference(model, path, x)
    verdict = "the same to" if largest <= TOLERANCE else "NOT the same to"
    typer.echo(f"{path}: {verdict} {TOLERANCE:g}; largest difference of a logit {largest:.3g} on {len(x)} test images")
    if largest > TOLERANCE:
        raise typer.Exit(1)
