"""Tables, figures and the HTML report of a folder of runs. Reads run directories only and imports no torch."""

from pathlib import Path

from rich.console import RenderableType

from pellucid.files import write_atomic
from pellucid.report.contents import clean_table, legacy_table, trade_off_table
from pellucid.report.runs import Run, read_listed, read_run, read_runs
from pellucid.report.tables import to_csv, to_latex, to_markdown
from pellucid.report.terminal import to_terminal

__all__ = [
    "Run",
    "clean_table",
    "read_listed",
    "read_run",
    "read_runs",
    "terminal_table",
    "to_terminal",
    "trade_off_table",
    "write_report",
]


def write_report(directory: Path) -> Path:
    """Read every run in or below `directory` and write `directory/report`: index.html, tables/, figures/.

    Returns
    -------
    Path
        `directory/report/index.html`, which is written last and needs no other file.

    Raises
    ------
    BadInput
        If there is no run in `directory`, or one of them is unfinished, unmeasured or damaged.
    RunFailed
        If the disk cannot be written.
    """
    # Here, so that the terminal table and the reader of runs do not wait for matplotlib.
    from pellucid.report import figures  # noqa: PLC0415
    from pellucid.report.html import to_page  # noqa: PLC0415

    runs = read_runs(directory)
    out = directory / "report"
    clean, legacy = clean_table(runs), legacy_table(runs)
    named = {"results": clean, "legacy": legacy, "trade-off": trade_off_table(runs)}
    files: dict[Path, str | bytes] = {}
    for name, table in named.items():
        if table is not None:
            for ending, convert in (("csv", to_csv), ("md", to_markdown), ("tex", to_latex)):
                files[Path("tables") / f"{name}.{ending}"] = convert(table)
    pictures = figures.draw_all(runs)
    for picture in pictures:
        files[Path("figures") / f"{picture.name}.svg"] = picture.svg
        files[Path("figures") / f"{picture.name}.pdf"] = picture.pdf
    for path, content in files.items():
        write_atomic(out / path, content)
    index = out / "index.html"
    write_atomic(index, to_page(runs, clean=clean, legacy=legacy, pictures=pictures, files=list(files)))
    return index


def terminal_table(directory: Path) -> RenderableType:
    """The trade-off of all runs below `directory` for the terminal, at most 100 columns wide. Errors as above."""
    return to_terminal(trade_off_table(read_runs(directory)))
