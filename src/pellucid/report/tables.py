"""A ResultTable as CSV (one line a cell, full precision), Markdown, LaTeX (booktabs) and HTML."""

import csv
import io
import math
from collections.abc import Sequence
from itertools import groupby

from markupsafe import Markup

from pellucid.report.cells import NOT_MEASURED, cell_text, counts_text, dropped_text, row_label
from pellucid.report.results import Cell, ResultTable, Row
from pellucid.report.templating import render

_CSV = ["group", "metric", "key", "model", "value", "low", "high", "unit", "better", "aggregate", "n"]
_CSV += ["dropped", "why", "best", "legacy", "tied", "seeds", "undefined"]


def to_csv(table: ResultTable) -> str:
    """One line a cell, numbers in full precision, empty where undefined or not measured."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_CSV)
    for row in table.rows:
        for name, cell in zip(table.columns, row.cells, strict=True):
            found = cell or Cell(math.nan, why=NOT_MEASURED)
            numbers = ["" if math.isnan(value) else repr(value) for value in (found.value, found.low, found.high)]
            n = "" if found.n is None else found.n
            words = [row.unit, {"↑": "higher", "↓": "lower"}.get(row.direction, ""), row.aggregate]
            rest = [n, found.dropped, found.why, int(found.best), int(table.legacy)]
            rest += [int(found.tied), found.seeds, repr(found.undefined)]
            writer.writerow([row.group, row.label, row.key, name, *numbers, *words, *rest])
    return out.getvalue()


def to_markdown(table: ResultTable) -> str:
    """A pipe table per group; the best is bold."""
    lines = [f"# {_pipes(table.title)}", ""]
    for group, rows in groupby(table.rows, key=lambda row: row.group):
        head = [group or "Metric", *table.columns, "n", "dropped"]
        lines += [markdown_line(head), markdown_line(["---", *["---:"] * (len(head) - 1)])]
        for row in rows:
            cells = [
                f"**{cell_text(row, cell)}**" if cell and cell.best else cell_text(row, cell) for cell in row.cells
            ]
            lines.append(markdown_line([row_label(row), *cells, counts_text(row), dropped_text(row)]))
        lines.append("")
    return "\n".join(lines + [f"{_pipes(note)}\n" for note in table.notes])


def to_latex(table: ResultTable) -> str:
    """A booktabs `tabular` with its notes as comments; needs `\\usepackage{booktabs}`."""
    lines = [f"% {' '.join(note.split())}" for note in table.notes]
    lines += [r"% needs \usepackage{booktabs}; rows of one group stand under its name"]
    lines += [rf"\begin{{tabular}}{{l{'r' * len(table.columns)}r}}", r"\toprule"]
    lines += [latex_line(["Metric", *table.columns, "n"]), r"\midrule"]
    for place, (group, rows) in enumerate(groupby(table.rows, key=lambda row: row.group)):
        width = len(table.columns) + 2
        lines += [r"\addlinespace"] * (place > 0) + [rf"\multicolumn{{{width}}}{{l}}{{\emph{{{latex(group)}}}}} \\"]
        for row in rows:
            cells = [_latex_cell(row, cell) for cell in row.cells]
            lines.append(" & ".join([latex(row_label(row)), *cells, latex(counts_text(row))]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def to_html(table: ResultTable, rows: Sequence[Row] | None = None) -> Markup:
    """An accessible HTML table (header cells with scopes), of all rows or of the given ones; every text is escaped."""
    chosen = table.rows if rows is None else rows
    groups = [(group, list(members)) for group, members in groupby(chosen, key=lambda row: row.group)]
    return render("table.html.jinja", table=table, groups=groups)


def markdown_line(cells: Sequence[str]) -> str:
    """A line of a pipe table, every cell escaped."""
    return "| " + " | ".join(_pipes(cell) for cell in cells) + " |"


def _pipes(text: str) -> str:
    """Text that stays inside its Markdown cell and is not read as HTML."""
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


_LATEX = {
    "\\": r"\textbackslash{}",
    **{mark: f"\\{mark}" for mark in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "−": "$-$",
    "–": "--",
    "×": r"$\times$",
    "σ": r"$\sigma$",
    "ε": r"$\varepsilon$",
    "≤": r"$\le$",
    "≥": r"$\ge$",
    "±": r"$\pm$",
    "†": r"$^{\dagger}$",
    "τ": r"$\tau$",
    "∞": r"$\infty$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
}


def latex(text: str) -> str:
    """Text with every character that LaTeX would read as a command escaped."""
    return "".join(_LATEX.get(mark, mark) for mark in " ".join(text.split()))


def _latex_cell(row: Row, cell: Cell | None) -> str:
    text = latex(cell_text(row, cell)) if cell is not None else "--"
    return rf"\textbf{{{text}}}" if cell is not None and cell.best else text


def latex_line(cells: Sequence[str]) -> str:
    """A line of a `tabular`, every cell escaped."""
    return " & ".join(latex(cell) for cell in cells) + r" \\"
