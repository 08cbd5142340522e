"""What the gate prints and writes: a table, one JSON object, JUnit XML that any forge can read, and the exit code."""

import json
import shutil
import sys
from xml.etree import ElementTree as ET

import pytest
import typer
from rich.console import Console

from pellucid import cli
from pellucid.cli.gate import gate as command
from pellucid.gate import gate, read_side, summary, to_json, to_junit, to_table


@pytest.fixture(scope="module")
def failed(two_runs):
    return gate(read_side(str(two_runs / "A")), read_side(str(two_runs / "N")), scope="model")


@pytest.fixture
def pellucid(monkeypatch):
    """The command line with this command, returning its exit code."""
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(command)
    app.callback()(lambda: None)

    def call(*arguments):
        monkeypatch.setattr(cli, "app", app)
        monkeypatch.setattr(sys, "argv", ["pellucid", "gate", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        return caught.value.code

    return call


def test_the_table_fits_80_columns_and_names_every_row(failed):
    console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(to_table(failed))
    text = console.export_text()
    assert all(len(line) <= 80 for line in text.splitlines())
    assert "…" not in text
    assert text.count("integrated_gradients") >= 5
    assert "+" in text
    assert summary(failed).split(":")[0] == "FAIL"


def test_junit_counts_and_names_what_failed(failed):
    suite = ET.fromstring(to_junit(failed)).find("testsuite")
    cases = suite.findall("testcase")
    assert [case.get("name") for case in cases] == [row.key for row in failed.rows]
    failures = {case.get("name") for case in cases if case.find("failure") is not None}
    assert failures == {row.key for row in failed.rows if row.failed}
    assert suite.get("tests") == str(len(cases))
    assert suite.get("failures") == str(len(failures)) != "0"


def test_junit_survives_any_folder_name(two_runs, tmp_path):
    odd = tmp_path / "a<b>&\"c'\x01 ü"
    shutil.copytree(two_runs / "N", odd)
    found = gate(read_side(str(odd)), read_side(str(odd)))
    assert "a<b>&\"c'\N{REPLACEMENT CHARACTER} ü" in ET.fromstring(to_junit(found)).find(".//property").get("value")


def test_json_is_strict_and_complete(failed):
    found = json.loads(json.dumps(to_json(failed), allow_nan=False))
    assert found["passed"] is False
    assert {row["key"] for row in found["rows"]} == {row.key for row in failed.rows}
    row = found["rows"][0]
    assert row["difference"] == pytest.approx(row["candidate"] - row["baseline"])
    assert row["interval"][0] < row["difference"] < row["interval"][1]


def test_exit_codes_and_files(pellucid, two_runs, tmp_path, capsys):
    junit = tmp_path / "deep" / "gate.xml"
    assert pellucid(two_runs / "N", two_runs / "N", "--json", "--junit", junit) == 0
    assert json.loads(capsys.readouterr().out)["passed"] is True
    assert ET.fromstring(junit.read_text()).get("failures") == "0"
    assert pellucid(two_runs / "A", two_runs / "N", "--metric", "gradient.gini:0", "--scope", "model") == 1
    assert "FAIL: 1 of 1 number" in capsys.readouterr().out
    for wrong in (["--metric", "nothing"], ["--alpha", "2"], ["--scope", "all"]):
        assert pellucid(two_runs / "A", two_runs / "N", *wrong) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1
    assert pellucid(two_runs / "none", two_runs / "N") == 2
