"""``pellucid passport`` as it is typed."""

import sys

import pytest
import typer

from pellucid import cli
from pellucid.cli.passport import passport as command


@pytest.fixture
def pellucid(monkeypatch, capsys):
    """The command line with this command: (exit code, output, error)."""
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(command)
    app.callback()(lambda: None)

    def call(*arguments):
        monkeypatch.setattr(cli, "app", app)
        monkeypatch.setattr(sys, "argv", ["pellucid", "passport", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        return caught.value.code, *capsys.readouterr()

    return call


def test_it_writes_the_page_and_its_facts_into_the_run(pellucid, own, tmp_path):
    claims = tmp_path / "claims.yaml"
    claims.write_text("- {metric: gini, relation: at_least, value: 0.99}\n")
    code, out, _ = pellucid(own, "--claims", claims)
    assert code == 0
    assert "fail: Gini of gradient at least 0.990" in out
    assert (own / "passport.html").is_file()
    assert (own / "passport.json").is_file()
    again = (own / "passport.html").read_bytes()
    code, out, _ = pellucid(own, "--claims", claims, "--against", own / "passport.json", "--out", tmp_path / "b.html")
    assert code == 0
    assert "Nothing: both say the same." in (tmp_path / "b.html").read_text(encoding="utf-8")
    pellucid(own, "--claims", claims)
    assert (own / "passport.html").read_bytes() == again


@pytest.mark.parametrize(
    ("remove", "message"),
    [
        ("measurements/measurement.json", "has not been measured: run `pellucid measure`"),
        ("manifest.json", "cannot read"),
    ],
    ids=["unmeasured", "no-run"],
)
def test_what_is_no_measured_run_gets_one_line(pellucid, own, remove, message):
    (own / remove).unlink()
    code, _, error = pellucid(own)
    assert code == 2
    assert message in error
    assert len(error.splitlines()) == 1


def test_a_browser_that_is_not_there_is_named_before_anything_is_written(pellucid, own, tmp_path):
    code, _, error = pellucid(own, "--pdf", tmp_path / "a.pdf", "--chromium", tmp_path / "none")
    assert code == 2
    assert "there is no program" in error
    assert not (own / "passport.html").exists()


def test_the_page_cannot_take_the_name_of_its_facts(pellucid, own, tmp_path):
    code, _, error = pellucid(own, "--out", tmp_path / "passport.json")
    assert code == 2
    assert "HTML" in error
