"""``pellucid passport``: one page about a measured run, for a reviewer without Python."""

from pathlib import Path
from typing import Annotated

import typer

from pellucid.errors import BadInput


def passport(
    run: Annotated[Path, typer.Argument(help="Measured run directory.", metavar="RUN")],
    out: Annotated[
        Path | None, typer.Option(help="The page; RUN/passport.html if absent.", metavar="FILE.html")
    ] = None,
    pdf: Annotated[Path | None, typer.Option(help="Print it into this file, too.", metavar="FILE.pdf")] = None,
    claims: Annotated[
        Path | None, typer.Option(help="YAML list of {metric, relation, value, note}.", metavar="CLAIMS.yaml")
    ] = None,
    against: Annotated[
        Path | None, typer.Option(help="Say what differs from this run, or from this passport.", metavar="OTHER")
    ] = None,
    chromium: Annotated[Path | None, typer.Option(help="The browser that prints.", metavar="PATH")] = None,
) -> None:
    """Write what was claimed of a run, how it was measured, and what came out, as one HTML file and as JSON."""
    from rich.console import Console

    from pellucid.passport import find_chromium, read_claims, read_other, tally, write_passport, write_pdf
    from pellucid.report import read_run

    if out is not None and out.suffix == ".json":
        raise BadInput(f"--out {out} names the HTML file; its facts go into {out.name} beside it anyway")
    stated = [] if claims is None else read_claims(claims)
    browser = None if pdf is None else find_chromium(chromium)
    other = None if against is None else read_other(against, stated)
    target = out or run / "passport.html"
    page, facts, found = write_passport(read_run(run), target, claims=stated, against=other)
    if pdf is not None and browser is not None:
        write_pdf(page, pdf, chromium=browser, created=facts["identity"].get("Training began", ""))
    console = Console(soft_wrap=True)
    for one in facts["claims"]:
        console.print(f"{one['verdict']}: {one['label']} {one['claimed']}: {one['why']}", highlight=False, markup=False)
    for key, here, there in found:
        console.print(f"{key}: {here} | {there}", highlight=False, markup=False)
    console.print(f"{tally(facts)}  {target}" + (f"  {pdf}" if pdf else ""), highlight=False, markup=False)
