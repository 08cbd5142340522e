"""Plain tables: rows of texts and numbers with a head, as CSV (full precision), Markdown, LaTeX (booktabs) and HTML."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from markupsafe import Markup

from pellucid.report.tables import latex_line, markdown_line
from pellucid.report.templating import render
from pellucid.report.words import number


@dataclass(frozen=True)
class Value:
    """A number and how it is printed."""

    value: float
    decimals: int | None = 3
    signed: bool = False
    text: str = ""

    def __str__(self) -> str:
        return self.text or number(self.value, self.decimals, signed=self.signed)


@dataclass(frozen=True)
class Link:
    """A text that leads to a place, relative to the page."""

    text: str
    address: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Thumbnail:
    """A test image by its number; `setting` tells those of several data sets on one page apart."""

    image: int
    setting: str = ""

    def __str__(self) -> str:
        return str(self.image)

    @property
    def css_class(self) -> str:
        """What the page's style draws its picture by."""
        return f"image-{self.image}{self.setting}"


Entry: TypeAlias = str | Value | Link | Thumbnail


@dataclass(frozen=True)
class Sheet:
    """A table of entries; every row is as long as the head."""

    name: str
    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[Entry, ...], ...]
    notes: tuple[str, ...] = ()


def sheet_csv(sheet: Sheet) -> str:
    """One line a row, numbers in full precision, empty where undefined."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(sheet.head)
    writer.writerows([_raw(entry) for entry in row] for row in sheet.rows)
    return out.getvalue()


def sheet_markdown(sheet: Sheet) -> str:
    """A pipe table under its title, the notes below."""
    lines = [f"# {sheet.title}", "", markdown_line(sheet.head), markdown_line(["---"] * len(sheet.head))]
    lines += [markdown_line([str(entry) for entry in row]) for row in sheet.rows]
    return "\n".join([*lines, "", *[f"{note}\n" for note in sheet.notes]])


def sheet_latex(sheet: Sheet) -> str:
    """A booktabs `tabular` with its notes as comments; needs `\\usepackage{booktabs}`."""
    columns = zip(*sheet.rows, strict=True)
    kinds = "".join("r" if any(isinstance(entry, Value) for entry in column) else "l" for column in columns)
    lines = [f"% {note}" for note in sheet.notes] + [rf"\begin{{tabular}}{{{kinds}}}", r"\toprule"]
    lines += [latex_line(sheet.head), r"\midrule", *(latex_line([str(entry) for entry in row]) for row in sheet.rows)]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def sheet_html(sheet: Sheet, rows: Sequence[tuple[Entry, ...]] | None = None) -> Markup:
    """An accessible HTML table of all rows, or of the given ones."""
    return render("sheet.html.jinja", sheet=sheet, rows=sheet.rows if rows is None else rows)


def _raw(entry: Entry) -> str:
    if isinstance(entry, Value):
        return "" if math.isnan(entry.value) else repr(float(entry.value))
    return str(entry)
