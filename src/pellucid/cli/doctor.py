"""``pellucid doctor MODEL [DATA]``: pre-flight checks."""

from pathlib import Path
from typing import Annotated, Any

import typer


def doctor(
    model: Annotated[
        str,
        typer.Argument(
            help="A run directory, a YAML config, or a model: lenet, timm:resnet18, torchvision:efficientnet_b0, "
            "hf:NAME, my_package.nets.build.",
            metavar="MODEL",
        ),
    ],
    data: Annotated[
        str | None,
        typer.Argument(
            help="A data set's name, or a folder with train/… and test/…; a run has its own.", metavar="DATA"
        ),
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="Weights for a model given by name.")] = None,
    image_size: Annotated[int | None, typer.Option(min=1, help="Resize and crop the images of a folder to it.")] = None,
    data_root: Annotated[Path | None, typer.Option(help="Where to look for the data set.")] = None,
    eps: Annotated[float | None, typer.Option(min=0, help="L∞ radius, in pixels; the config's if absent.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Decides which test images are looked at.")] = 0,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="List what is well, too.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Look for what would spoil the numbers, in under a minute; exit code 1 if something would."""
    from pellucid.doctor.opening import Wanted, open_case

    case = open_case(Wanted(model, data, weights, image_size, data_root, eps, seed))
    findings = _examined(case)
    _show(findings, case, model, verbose=verbose, as_json=json)
    if any(finding.status == "problem" for finding in findings):
        raise typer.Exit(1)


def _examined(case: Any) -> Any:
    from rich.console import Console

    from pellucid.doctor.engine import run_checks

    with Console(stderr=True).status("examining …") as status:  # shown on terminals only
        return run_checks(case, tick=lambda name: status.update(f"examining: {name}"))


def _show(findings: Any, case: Any, model: str, *, verbose: bool, as_json: bool) -> None:
    import json

    from rich.console import Console

    from pellucid.doctor.terminal import as_plain, to_terminal

    facts = {"model": model, "train_images": len(case.train), "test_images": len(case.test)}
    if as_json:
        typer.echo(json.dumps(as_plain(findings, **facts), ensure_ascii=False))
        return
    console = Console()
    console.print(f"{model}: {len(case.train):,} training and {len(case.test):,} test images\n", highlight=False)
    console.print(to_terminal(findings, verbose=verbose))
