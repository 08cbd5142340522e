import csv
import io
import re

import numpy as np
import pytest
from constructed import first, road, run, spread

from pellucid.report import measures
from pellucid.report.contents import clean_table, legacy_table, trade_off_table
from pellucid.report.measures import aopc, difference, estimate
from pellucid.report.results import Cell, ResultTable, Row, measure_row
from pellucid.report.runs import read_runs
from pellucid.report.tables import latex, to_csv, to_html, to_latex, to_markdown
from pellucid.report.terminal import WIDTH, to_terminal
from pellucid.report.words import interval, listing, number
from pellucid.statistics import bootstrap, wilson


@pytest.fixture(scope="module")
def runs(three_runs):
    return read_runs(three_runs)


@pytest.fixture(scope="module")
def clean(runs):
    return clean_table(runs)


def row_of(table, key, group="Gradient"):
    (found,) = [row for row in table.rows if row.key == key and row.group == group]
    return found


def test_cells_carry_the_number_its_interval_and_its_counts(runs, clean):
    correct = runs[1].accuracy.values["correct"]
    cell = row_of(clean, "natural_accuracy", "Accuracy").cells[1]
    expected = wilson(int(correct.sum()), 2000)
    assert (cell.value, cell.low, cell.high) == pytest.approx(
        (100 * correct.mean(), 100 * expected.low, 100 * expected.high)
    )
    values = runs[0].attributions["gradient"].values
    similar = row_of(clean, "ssim_at_0.1").cells[0]
    assert similar.value == pytest.approx(np.nanmean(values["ssim"][:, 5]))
    assert similar.n == np.isfinite(values["ssim"][:, 5]).sum()
    assert similar.dropped == 60 - similar.n
    norm = row_of(clean, "ros_norm").cells[0]
    assert norm.value == pytest.approx(np.median(values["ros_norm"]))
    legacy = legacy_table(runs)
    quantus = row_of(legacy, "ros_quantus_log10_mean").cells[0]
    expected = bootstrap(values["ros_quantus"], statistic="log10_mean")
    assert (quantus.value, quantus.low, quantus.dropped) == (expected.value, expected.low, expected.dropped)
    assert row_of(legacy, "ros_quantus_numerator_log10_median").cells[0].value == pytest.approx(
        np.log10(np.nanmedian(values["ros_quantus_numerator"]))
    )


def test_mean_of_levels_is_the_mean_of_the_level_rows(clean):
    levels = [row_of(clean, f"ssim_at_{s:g}").cells[2].value for s in (0.01, 0.03, 0.05, 0.07, 0.09, 0.1, 0.15, 0.2)]
    assert row_of(clean, "ssim_levels").cells[2].value == pytest.approx(np.mean(levels))


def test_aopc_in_its_four_forms():
    """The published worked value: accuracies .9 .8 .6 .5 give 0.16 as coded and, with acc₀ = 1, Σ(1 - a) / L clean."""
    kept = np.stack([first(count, of=10) for count in (9, 8, 6, 5)], axis=1)
    random = np.ones_like(kept)
    one = run("A", road=np.resize(kept, (100, 4)), road_random=np.resize(random, (100, 4)))
    assert estimate(aopc("gradient", kind="legacy"), one).value == pytest.approx(0.16)
    assert estimate(aopc("gradient"), one).value == pytest.approx(1.2 / 4)
    assert estimate(aopc("gradient", kind="random"), one).value == 0
    assert estimate(aopc("gradient", kind="gain"), one).value == pytest.approx(1.2 / 4)


def test_the_random_map_is_measured_once_a_run(runs):
    """Its file is the gradient's; other attributions on the same images are compared with it."""
    control = runs[1].attributions["gradient"].values["road_random"]
    kept = runs[1].attributions["integrated_gradients"].values["road"]
    found = estimate(aopc("integrated_gradients", kind="gain"), runs[1])
    assert found.value == pytest.approx((control - kept).mean())
    assert estimate(aopc("integrated_gradients", kind="random"), runs[1]).value == pytest.approx(1 - control.mean())


@pytest.mark.parametrize(
    ("values", "best"),
    [
        ({"N": (0.5, 0), "A": (0.7, 0.1)}, "A"),
        ({"N": (0.5, 0), "A": (0.505, 0.1)}, None),  # the interval of the difference includes 0
        ({"N": (0.5, 0), "A": (0.5, 0)}, None),
    ],
)
def test_best_is_marked_only_where_the_second_is_clearly_behind(values, best):
    gini = measures.column("gradient", "gini", "Gini", direction="↑")
    found = measure_row([run(role, gini=spread(*value)) for role, value in values.items()], gini, group="")
    assert [cell.best for cell in found.cells] == [role == best for role in values]
    lower = measures.column("gradient", "gini", "Gini", direction="↓")
    found = measure_row([run(role, gini=-spread(*value)) for role, value in values.items()], lower, group="")
    assert [cell.best for cell in found.cells] == [role == best for role in values]
    neither = measures.column("gradient", "gini", "Gini")
    assert not any(
        cell.best for cell in measure_row([run("N", gini=spread(1)), run("A", gini=spread(0))], neither, group="").cells
    )


def test_best_needs_the_same_images():
    one, two = run("N", gini=spread(0.5)), run("A", gini=spread(0.9))
    gini = measures.column("gradient", "gini", "Gini", direction="↑")
    object.__setattr__(two.attributions["gradient"], "ids", np.arange(1000, 1100))
    assert difference(gini, one, two) is None
    other = run("A", gini=spread(0.9))
    assert difference(gini, one, other).n == 100
    other.manifest["data"]["test_sha256"] = "of other images with the same numbers"
    assert difference(gini, one, other) is None
    assert not any(cell.best for cell in measure_row([one, two], gini, group="").cells)


def test_best_is_not_marked_if_the_shared_images_say_the_opposite():
    """A leads on its own images only because its hard ones are undefined; on the shared ones N leads."""
    hard = np.arange(100) < 50
    easy_n, easy_a = spread(0.8, 0.001), spread(0.7, 0.001)
    one = run("N", gini=np.where(hard, 0.1, easy_n))
    two = run("A", gini=np.where(hard, np.nan, easy_a))
    gini = measures.column("gradient", "gini", "Gini", direction="↑")
    found = measure_row([one, two], gini, group="")
    assert found.cells[1].value > found.cells[0].value
    assert not any(cell.best for cell in found.cells)
    assert found.cells[1].dropped == 50


def test_what_was_not_measured_is_said_and_absent_rows_are_left_out(runs):
    table = clean_table([run("N", gini=spread(0.5)), run("A", gini=spread(0.6), road=road(5))])
    assert row_of(table, "aopc_clean").cells[0] is None
    assert not [row for row in table.rows if row.key.startswith(("ssim", "ros"))]
    assert "not measured" in to_markdown(table)
    assert "not measured" in to_html(table)
    assert legacy_table([run("N", gini=spread(0.5))]) is None


def test_legacy_rows_stand_in_the_legacy_table_only(runs, clean):
    legacy = legacy_table(runs)
    assert legacy.legacy
    assert not clean.legacy
    assert {"gini_legacy", "ssim_legacy_levels", "aopc_legacy", "scale"} <= {row.key for row in legacy.rows}
    assert not [row.key for row in clean.rows if "legacy" in row.key or "quantus" in row.key]
    values = runs[0].attributions["gradient"].values
    kept = values["road_legacy"]
    expected = (kept[:, :1] - kept).sum(axis=1).mean() / 21
    assert row_of(legacy, "aopc_legacy").cells[0].value == pytest.approx(expected)
    assert row_of(legacy, "gini_legacy").cells[0].value == pytest.approx(values["gini_legacy"].mean())


def test_ledger_counts_dropped_draws_and_zero_maps(runs, clean):
    values = runs[0].attributions["gradient"].values
    assert row_of(clean, "ssim_dropped").cells[0].value == pytest.approx(100 * np.isnan(values["ssim"]).mean())
    lost = 1 - values["ros_norm_valid_draws"].sum() / (16 * 60)
    assert row_of(clean, "ros_norm_dropped").cells[0].value == pytest.approx(100 * lost)
    assert row_of(clean, "zero_maps").cells[0].value == 0
    legacy = legacy_table(runs)
    lost = 1 - values["ros_quantus_valid_draws"].sum() / (5 * 60)
    assert row_of(legacy, "ros_quantus_dropped").cells[0].value == pytest.approx(100 * lost)
    notes = " ".join(clean.notes)
    assert "60 images that N, A and G all classify correctly" in notes
    assert "712 misclassified by at least one compared model" in notes
    assert "the noise changed the prediction, or the map is zero (SSIM at σ = 0.0" in notes
    assert "draws changed the prediction (ROS-quantus, log10 of mean" in " ".join(legacy.notes)


def test_few_images_are_pointed_out():
    assert not any("as few as" in note for note in clean_table([run("N", gini=spread(0.5))]).notes)
    few = np.where(np.arange(100) < 7, 0.5, np.nan)
    assert "as few as 7 images" in " ".join(clean_table([run("N", gini=few)]).notes)


def nasty_table():
    cell = Cell(0.5, 0.25, 0.75, 10, 2, "why | not", best=True)
    nothing = Cell(float("nan"))
    row = Row("key", "Group_1 & co", "Gini <script>alert(1)</script> 100% | x", (cell, nothing, None), direction="↑")
    return ResultTable("T & Co", ("A_1$", "b|c", "<b>"), (row,), ("A note with 5 % & <i>\nnewline",))


def test_csv_holds_one_line_a_cell_in_full_precision(clean):
    rows = list(csv.DictReader(io.StringIO(to_csv(clean))))
    assert len(rows) == 3 * len(clean.rows)
    for row, line in zip([row for row in clean.rows for _ in range(3)], rows, strict=True):
        assert (line["group"], line["key"], line["unit"]) == (row.group, row.key, row.unit)
        cell = row.cells[clean.columns.index(line["model"])]
        assert float(line["value"]) == cell.value
        assert line["n"] == ("" if cell.n is None else str(cell.n))
    nasty = list(csv.DictReader(io.StringIO(to_csv(nasty_table()))))
    assert [line["model"] for line in nasty] == ["A_1$", "b|c", "<b>"]
    assert [line["value"] for line in nasty] == ["0.5", "", ""]
    assert [line["why"] for line in nasty] == ["why | not", "", "not measured"]
    assert [line["best"] for line in nasty] == ["1", "0", "0"]


def test_markdown_keeps_its_columns_whatever_the_names_hold():
    text = to_markdown(nasty_table())
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {7}
    assert "**0.500 [0.250, 0.750]**" in text
    assert "<script>" not in text
    assert "undefined" in text


def test_latex_escapes_every_special_character():
    text = to_latex(nasty_table())
    body = text[text.index(r"\begin") :]
    assert r"A\_1\$" in body
    assert r"Group\_1 \& co" in body
    assert r"100\%" in body
    assert r"\textless{}script\textgreater{}" in body
    assert r"\textbf{0.500 [0.250, 0.750]}" in body
    left = re.sub(r"\\[&%$#_{}]|\$\\?[-a-z]+\$", "", body)  # without escaped characters and formulas
    assert not re.search(r"[%$#_]", left)
    assert all(line.startswith("%") for line in text[: text.index(r"\begin")].splitlines())
    for rule in (r"\toprule", r"\midrule", r"\bottomrule"):
        assert text.count(rule) == 1
    assert latex("a\\b{}~^−") == r"a\textbackslash{}b\{\}\textasciitilde{}\textasciicircum{}$-$"
    widths = {
        line.count("&") - line.count(r"\&")
        for line in body.splitlines()
        if line.endswith(r"\\") and "multicolumn" not in line
    }
    assert widths == {4}


def test_html_escapes_and_is_accessible():
    text = str(to_html(nasty_table()))
    assert "<script>" not in text
    assert "&lt;script&gt;" in text
    assert 'class="value best"' in text
    assert text.count('scope="col"') == 6
    assert '<th scope="row">' in text
    assert "<caption>T &amp; Co" in text


def rendered(table, width=140):
    from rich.console import Console

    console = Console(width=width, record=True, file=io.StringIO())
    console.print(to_terminal(table))
    return console.export_text()


def test_terminal_table_fits_and_shows_all(runs):
    text = rendered(trade_off_table(runs))
    assert max(len(line.rstrip()) for line in text.splitlines()) <= WIDTH
    for word in ("natural", "robust", "Gini ↑", "σ = 0.1", "ROS-norm ↓", "ROAD-", "training", "n 2,000", "n 60"):
        assert word in text
    for row in trade_off_table(runs).rows:
        for cell in row.cells:
            assert number(cell.value, row.decimals) in text


def test_terminal_table_stays_narrow_with_long_names_and_wide_numbers():
    long = "a-very-long-folder-name-with-a-seed-12345"
    runs = [
        run(long, gini=spread(0.5), ros_norm=spread(1234567.0), ros_quantus=spread(1.0)),
        run("N", gini=spread(0.4)),
    ]
    text = rendered(trade_off_table(runs))
    assert max(len(line.rstrip()) for line in text.splitlines()) <= WIDTH
    assert "1.23e+06" in text


def test_numbers_in_words():
    assert number(-0.0001, 3) == "0.000"
    assert number(-0.25, 2) == "−0.25"
    assert number(0.25, 1, signed=True) == "+0.2"
    assert number(float("nan")) == number(None) == "undefined"
    assert [number(value, None) for value in (0, 1234.5, 98.76, 0.012345, 1.5e7, 2e-5)] == [
        *("0.00", "1,234", "98.8", "0.0123", "1.50e+07", "2.00e−05"),
    ]
    assert interval(float("nan"), 1) == ""
    assert interval(-1, 1, 1, signed=True) == "[−1.0, +1.0]"
    assert listing(["a"]) == "a"
    assert listing(["a", "b", "c"]) == "a, b and c"
    assert listing([]) == "none"
