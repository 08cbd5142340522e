import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from xml.etree import ElementTree

import fake_runs
import pytest

from pellucid.files import read_json
from pellucid.report import figures, read_runs, terminal_table, write_report
from pellucid.report.relations import relations
from pellucid.report.summary import headline, tally

EVIL = "<script>alert('x')</script> $\\frac{1}$ --> & 靴"


class Page(HTMLParser):
    """Tags that are open, every id, every address, and every text outside style."""

    EMPTY = ("meta", "link", "br", "img", "input", "hr")

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.addresses, self.texts, self.tags = [], [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in self.EMPTY:
            self.open.append(tag)
        for name, value in attributes:
            if name == "id":
                self.ids.append(value)
            if name in {"href", "src", "xlink:href", "action", "data", "poster", "srcset"}:
                self.addresses.append(value)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in self.EMPTY:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.texts.append(data)


@pytest.fixture(scope="module")
def report(three_runs):
    return write_report(three_runs)


@pytest.fixture(scope="module")
def page(report):
    return Page(report.read_text())


def test_writes_what_it_promises_and_only_below_report(three_runs, report):
    assert report == three_runs / "report" / "index.html"
    written = {
        path.relative_to(three_runs / "report").as_posix() for path in report.parent.rglob("*") if path.is_file()
    }
    tables = {
        f"tables/{name}.{ending}" for name in ("results", "legacy", "trade-off") for ending in ("csv", "md", "tex")
    }
    drawn = ["saliency-grid", "feature-maps", "ssim-against-noise", "road", "training", "cost", "trade-off"]
    assert written == {"index.html", "findings.json"} | tables | {
        f"figures/{name}.{ending}" for name in drawn for ending in ("svg", "pdf")
    }
    assert {path.name for path in three_runs.iterdir()} == {"runs", "report"}
    assert len(read_runs(three_runs)) == 3  # a report in the folder is no run


def test_page_is_well_formed_and_asks_nobody(report, page):
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    for address in page.addresses:
        assert address.startswith(("#", "data:", "figures/", "tables/", "findings.json")), address
        if address.startswith("#"):
            assert address[1:] in page.ids
        if address.startswith(("figures/", "tables/")):
            assert (report.parent / address).is_file()
    text = report.read_text()
    used = set(re.findall(r"url\(#([^)]+)\)", text))
    assert used
    assert used <= set(page.ids)
    assert not re.search(r"@import|<script|url\((?!#)|\bon\w+=", text)
    policy = [attributes for tag, attributes in page.tags if attributes.get("http-equiv")]
    assert "default-src 'none'" in policy[0]["content"]


def test_page_is_accessible(page):
    tags = [tag for tag, _ in page.tags]
    assert ("html", {"lang": "en"}) in page.tags
    assert tags.count("h1") == 1
    for tag, attributes in page.tags:
        if attributes.get("role") in {"img", "region"}:
            assert attributes["aria-label"].strip()
        if tag == "th":
            assert attributes["scope"] in {"col", "row", "rowgroup"}
    assert tags.count("figure") == tags.count("figcaption") == 7


def test_page_says_the_numbers_of_the_table(three_runs, page):
    text = " ".join(" ".join(page.texts).split())
    runs = read_runs(three_runs)
    for sentence in [*headline(runs), tally(relations(runs))]:
        assert " ".join(sentence.split()) in text
    manifest = read_json(three_runs / "runs/G/manifest.json")
    for expected in (
        manifest["weights"]["sha256"],
        manifest["data"]["test_sha256"],
        "PGD: norm L∞, ε 0.1, step size 0.025, steps 20, restarts 1; 2,000 test images",
        "60 measured, 60 asked for, 2,000 candidates; dropped: 712 misclassified",
        "torch 2.0.0",
        "objective.eps",
        "One seed per arm",
        "legacy",
    ):
        assert expected in text, expected


def test_names_from_outside_are_escaped(tmp_path):
    folder = "x<img src=1 onerror=alert(1)>"
    for arm in ("N", "G"):
        fake_runs.write_run(tmp_path / "runs" / f"{arm}{folder}", arm, images=5, classes=[EVIL] * 10, compared=(EVIL,))
        fake_runs.write_run(tmp_path / "runs" / f"_{arm}$2", arm, seed=1, images=5, classes=[EVIL] * 10)
    path = tmp_path / "runs" / f"N{folder}" / "measurements/measurement.json"
    measurement = json.loads(path.read_text())
    measurement["images"]["dropped"] = {EVIL: 3}
    path.write_text(json.dumps(measurement))
    text = write_report(tmp_path).read_text()
    page = Page(text)
    assert page.open == []
    assert "<script" not in text.replace('<script>"use strict"', "")  # the page's own
    assert "img" not in [tag for tag, _ in page.tags]
    assert any(EVIL in part for part in page.texts)
    assert any(folder in part for part in page.texts)
    for drawn in (tmp_path / "report/figures").glob("*.svg"):
        ElementTree.parse(drawn)


def test_the_same_runs_give_the_same_bytes(three_runs, report):
    files = {path: path.read_bytes() for path in report.parent.rglob("*") if path.is_file()}
    write_report(three_runs)
    for path, content in files.items():
        assert path.read_bytes() == content, path


def test_the_terminal_table_waits_for_no_matplotlib_and_the_page_for_no_torch():
    code = (
        "import sys, pellucid.report; assert 'matplotlib' not in sys.modules\n"
        "import pellucid.report.html; sys.exit('torch' in sys.modules or 'matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_one_lone_run_with_little_measured_still_gives_a_report(tmp_path):
    path = fake_runs.write_run(tmp_path / "only", "A", images=5)
    for name in ("gradient", "integrated_gradients"):
        file = path / "measurements" / f"{name}.jsonl"
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        file.write_text("".join(json.dumps({"id": row["id"], "gini": row["gini"]}) + "\n" for row in rows))
    (path / "measurements/examples.npz").unlink()
    (path / "history.jsonl").write_text("")
    text = write_report(tmp_path).read_text()
    assert "There is only one run" in text
    assert "no example maps" in text
    assert {picture.name for picture in figures.draw_all(read_runs(tmp_path))} == {"cost", "trade-off"}
    assert terminal_table(tmp_path)
