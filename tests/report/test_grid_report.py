"""The report of a grid: one column an arm, its tests, its files, and a page that opens anywhere."""

import base64
import csv
import hashlib
import io
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import fake_runs
import pytest
from rich.console import Console
from test_page import Page

from pellucid.report import read_runs, terminal_table, write_report
from pellucid.report.arms import arms_of
from pellucid.report.figures import cost
from pellucid.report.grid import grid_files, parts_of, slug
from pellucid.report.grid_page import to_grid_page
from pellucid.report.methods import methods, reproducibility


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    return fake_runs.write_grid(tmp_path_factory.mktemp("grid"), seeds=3, images=24)


@pytest.fixture(scope="module")
def report(grid):
    return write_report(grid)


@pytest.fixture(scope="module")
def page(report):
    return Page(report.read_text())


def lines(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_tables_have_a_column_an_arm_and_the_old_ones_stay(report):
    tables = report.parent / "tables"
    assert {row["model"] for row in lines(tables / "arms.csv")} == {"N", "A", "G"}
    assert {row["seeds"] for row in lines(tables / "arms.csv") if row["key"] == "gini"} == {"3"}
    assert len({row["model"] for row in lines(tables / "results.csv")}) == 9
    names = {path.name for path in tables.iterdir()}
    wanted = {"arms", "arms-legacy", "comparisons", "agreement", "survivors", "images", "cells", "reproducibility"}
    for name in wanted | {"results", "legacy", "trade-off"}:
        assert {f"{name}.csv", f"{name}.md", f"{name}.tex"} <= names
    assert (report.parent / "methods.md").read_text().startswith("# Methods\n\nWe trained lenet on fashion-mnist-mini")


def test_the_comparisons_file_holds_every_pair_in_every_directed_measure(report):
    rows = lines(report.parent / "tables" / "comparisons.csv")
    assert {(row["first"], row["second"]) for row in rows} == {("A", "N"), ("G", "N"), ("G", "A")}
    assert all(row["better"] in {"higher", "lower"} for row in rows)
    robust = next(row for row in rows if row["key"] == "robust_accuracy" and row["first"] == "A")
    assert robust["verdict"] == "A better"
    assert float(robust["low"]) < float(robust["difference"]) < float(robust["high"])
    assert float(robust["p"]) <= float(robust["p_holm"]) < 0.05
    labels = {row["metric"] for row in rows}
    assert "Gini (integrated gradients)" in labels
    assert "Gini (gradient)" in labels


def test_page_is_well_formed_offline_and_runs_its_own_script_only(report, page):
    text = report.read_text()
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    for address in page.addresses:
        assert address.startswith(("#", "data:", "figures/", "tables/", "methods", "findings.json", "../runs/")), (
            address
        )
        if address.startswith("#"):
            assert address[1:] in page.ids
        elif not address.startswith("data:"):
            assert (report.parent / address).exists(), address
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = next(attributes["content"] for tag, attributes in page.tags if attributes.get("http-equiv"))
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    for drawn in (report.parent / "figures").glob("*.svg"):
        ElementTree.parse(drawn)


def test_page_names_arms_not_runs_and_says_what_was_found(page):
    text = " ".join(" ".join(page.texts).split())
    for expected in (
        "natural training, 3 seeds (0, 1, 2)",
        "Results by arm",
        "better than N under",
        "Matched in natural accuracy within 2 points",
        "other seeds of one recipe",
        "of the images agree in direction",
        "objective.name",
        "We trained lenet",
        "Kendall's τ",
        "R1",
    ):
        assert expected in text, expected
    heads = [attributes for tag, attributes in page.tags if tag == "th" and attributes.get("scope") == "col"]
    assert heads
    assert "N-seed0 ·" not in text


def test_groups_of_a_grid_are_reported_apart(tmp_path):
    for group in ("matched", "own"):
        fake_runs.write_grid(tmp_path, ("N", "A"), seeds=2, images=8, group=group)
    parts = parts_of(read_runs(tmp_path))
    assert [part.suffix for part in parts] == [
        "-fashion-mnist-mini-matched-lenet",
        "-fashion-mnist-mini-own-lenet",
    ]
    assert all([arm.name for arm in part.arms] == ["N", "A"] for part in parts)
    files = grid_files(parts)
    assert {Path(f"tables/arms{part.suffix}.tex") for part in parts} <= set(files)
    drawn = [replace(cost(part.arms), name=f"cost{part.suffix}") for part in parts]
    page = Page(to_grid_page(parts, pictures=drawn, files=list(files)))
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    assert {f"figure-cost{part.suffix}" for part in parts} <= set(page.ids)
    assert slug("CIFAR-10 (b), wrn") == "cifar-10-b-wrn"


def test_the_terminal_shows_a_line_an_arm(grid):
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(terminal_table(grid))
    text = console.export_text()
    assert "24×3" in text
    assert "seed0" not in text.split("Maps measured")[0]
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 100


def test_methods_claim_what_the_manifests_say(grid):
    training, measurement, statistics = methods(arms_of(read_runs(grid)))
    assert "9,000 train, 1,000 validation and 2,000 test images, 10 classes" in training
    assert "A: adversarial training (ε = 0.1, 7 steps)" in training
    assert "G: adversarial training + Gaussian SmoothBlock (ε = 0.1, 7 steps) after pool1" in training
    assert "3 seeds (0, 1, 2)" in training
    assert "12 epochs with batches of 128 images, adam (learning rate 0.003, schedule one cycle)" in training
    assert "24 images that the 9 compared models all classify correctly" in measurement
    assert "PGD in the L∞ ball of radius 0.1" in measurement
    assert "With 3 seeds a difference of 3.26 standard deviations" in statistics


def test_the_appendix_says_the_common_once_and_the_rest_by_run(grid):
    sheet = reproducibility(arms_of(read_runs(grid)))
    rows = [(str(a), str(b), str(c)) for a, b, c in sheet.rows]
    assert ("Code (SHA-256)", hashlib.sha256(b"code").hexdigest(), "all runs") in rows
    assert sum(label == "Weights (SHA-256)" for label, _, _ in rows) == 9
    assert ("Seed of the training", "1", "N-seed1, A-seed1 and G-seed1") in rows


def test_the_same_runs_give_the_same_bytes(grid, report):
    files = {path: path.read_bytes() for path in report.parent.rglob("*") if path.is_file()}
    write_report(grid)
    for path, content in files.items():
        assert path.read_bytes() == content, path


def test_no_torch():
    code = "import sys, pellucid.report.grid_page; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
