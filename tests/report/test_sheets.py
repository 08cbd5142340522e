"""Plain tables in every format."""

import csv
import io
import math

from pellucid.report.sheets import Link, Sheet, Value, sheet_csv, sheet_html, sheet_latex, sheet_markdown

SHEET = Sheet(
    "odd_&",
    "Title <b>",
    ("name_1", "value %", "note"),
    (("a|b", Value(0.123456789, 2, signed=True), "x & y"), (Link("go <", "../runs/a b/"), Value(math.nan), "±1")),
    ("A note.",),
)


def test_csv_keeps_the_precision_and_leaves_the_unknown_empty():
    rows = list(csv.reader(io.StringIO(sheet_csv(SHEET))))
    assert rows == [["name_1", "value %", "note"], ["a|b", "0.123456789", "x & y"], ["go <", "", "±1"]]


def test_markdown_and_latex_escape_their_own_marks():
    text = sheet_markdown(SHEET)
    assert r"| a\|b | +0.12 | x & y |" in text
    assert "| go &lt; | undefined | ±1 |" in text
    tex = sheet_latex(SHEET)
    assert r"\begin{tabular}{lrl}" in tex
    assert r"name\_1 & value \% & note \\" in tex
    assert r"x \& y" in tex
    assert r"$\pm$1" in tex
    assert tex.startswith("% A note.")


def test_html_is_escaped_links_and_numbers_know_their_value():
    page = str(sheet_html(SHEET))
    assert "<b>" not in page
    assert '<a href="../runs/a b/">go &lt;</a>' in page
    assert 'data-value="0.123456789"' in page
    assert page.count('scope="col"') == 3
    assert page.count('scope="row"') == 2
    short = str(sheet_html(SHEET, SHEET.rows[:1]))
    assert "go" not in short


def test_an_own_text_is_printed_for_a_number():
    assert str(Value(1e-7, text="< 0.001")) == "< 0.001"
    assert str(Value(-0.5, 1)) == "−0.5"
