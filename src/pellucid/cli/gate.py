"""``pellucid gate``: fail a build where a candidate is worse than its baseline."""

from pathlib import Path
from typing import Annotated

import typer

METRICS_HELP = (
    "Only this metric, with its margin if one is given (gini:0.02, integrated_gradients.ssim); may be repeated. "
    "If absent: accuracy, robust_accuracy, gini, ssim, ros, road, as far as the baseline has them."
)


def gate(
    baseline: Annotated[
        str,
        typer.Argument(help="Measured run; several seeds with commas, or a folder of them.", metavar="BASELINE"),
    ],
    candidate: Annotated[str, typer.Argument(help="The same for what is to be tested.", metavar="CANDIDATE")],
    metric: Annotated[list[str] | None, typer.Option(help=METRICS_HELP, metavar="NAME[:MARGIN]")] = None,
    alpha: Annotated[float, typer.Option(help="False-alarm rate of the whole gate, at most.")] = 0.05,
    scope: Annotated[
        str | None,
        typer.Option(
            help="model: false alarms over new images, for these very weights; recipe: over new training runs, too. "
            "If absent: model for one run a side, else recipe."
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML here.", metavar="FILE.xml")] = None,
) -> None:
    """Exit 1 if the candidate is worse than the baseline in a metric by more than its margin.

    Both are run directories that one pellucid measure measured. Exit 0: no regression was shown; 2: bad input.
    """
    from json import dumps

    from rich.console import Console

    from pellucid.files import write_atomic
    from pellucid.gate import gate as judge
    from pellucid.gate import parse, read_side, to_json, to_junit, to_table

    wanted = parse(metric or [])
    found = judge(read_side(baseline), read_side(candidate), wanted=wanted, alpha=alpha, scope=scope)
    if junit is not None:
        write_atomic(junit, to_junit(found))
    if json:
        typer.echo(dumps(to_json(found), ensure_ascii=False, allow_nan=False))
    else:
        Console().print(to_table(found), highlight=False)
    if not found.passed:
        raise typer.Exit(1)
