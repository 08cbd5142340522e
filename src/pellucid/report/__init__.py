"""Tables, figures and the HTML report of a folder of runs. Reads run directories only and imports no torch."""

import json
from collections.abc import Mapping
from pathlib import Path

from rich.console import Group, RenderableType

from pellucid.files import write_atomic
from pellucid.report.arms import arms_of, in_arms
from pellucid.report.contents import clean_table, legacy_table, trade_off_table
from pellucid.report.findings import findings
from pellucid.report.relations import settings
from pellucid.report.results import ResultTable
from pellucid.report.runs import Run, absent_cells, read_listed, read_run, read_runs
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
    from pellucid.report.grid import grid_files, parts_of  # noqa: PLC0415
    from pellucid.report.grid_page import to_grid_page  # noqa: PLC0415
    from pellucid.report.html import to_page  # noqa: PLC0415

    runs = read_runs(directory)
    out, index = directory / "report", directory / "report" / "index.html"
    clean, legacy = clean_table(runs), legacy_table(runs)
    files = table_files({"results": clean, "legacy": legacy, "trade-off": trade_off_table(runs)})
    files[Path("findings.json")] = json.dumps(findings(runs), indent=1, ensure_ascii=False) + "\n"
    absent = absent_cells(directory)
    if in_arms(runs):
        parts = parts_of(runs)
        pictures = [picture for part in parts for picture in figures.draw_all(part.arms, part.suffix)]
        files |= grid_files(parts) | figures.files(pictures)
        page = to_grid_page(parts, pictures=pictures, files=list(files), absent=absent)
    else:
        pictures = figures.draw_all(runs)
        files |= figures.files(pictures)
        page = to_page(runs, clean=clean, legacy=legacy, pictures=pictures, files=list(files), absent=absent)
    for path, content in files.items():
        write_atomic(out / path, content)
    write_atomic(index, page)
    return index


def table_files(named: Mapping[str, ResultTable | None]) -> dict[Path, str | bytes]:
    """Every table in every format."""
    formats = (("csv", to_csv), ("md", to_markdown), ("tex", to_latex))
    return {
        Path("tables") / f"{name}.{ending}": convert(table)
        for name, table in named.items()
        if table is not None
        for ending, convert in formats
    }


def terminal_table(directory: Path) -> RenderableType:
    """The trade-off of all runs below `directory`, of a grid of its arms, at most 100 columns wide. Errors as above."""
    runs = read_runs(directory)
    if not in_arms(runs):
        return to_terminal(trade_off_table(runs))
    return Group(*(to_terminal(trade_off_table(arms_of(members))) for _, members in settings(runs)))
