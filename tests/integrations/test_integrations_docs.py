"""Every block of docs/integrations.md runs: the Python in one session, the commands in one folder."""

import importlib.util
import logging
import re
import shlex
import shutil
from pathlib import Path

import huggingface_hub
import pytest
import typer
from typer.testing import CliRunner

from pellucid.cli.export import export
from pellucid.cli.log import log

DOC = Path(__file__).parents[2] / "docs" / "integrations.md"


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", DOC.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.fixture
def folder(measured_run, tmp_path, monkeypatch):
    shutil.copytree(measured_run, tmp_path / "runs" / "A-0")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", lambda self, name, **_: f"https://huggingface.co/{name}")
    monkeypatch.setattr(huggingface_hub.HfApi, "upload_folder", lambda self, **_: None)
    return tmp_path


def told(command):
    app = typer.Typer()
    app.command("log")(log)
    app.command("export")(export)
    program, *words = shlex.split(command)
    result = CliRunner().invoke(app, words)
    assert (program, result.exit_code) == ("pellucid", 0), (command, result.output, result.exception)
    return result.output


def test_commands_and_python_run(folder, capsys):
    commands = [line for block in blocks("sh") for line in block.splitlines()]
    assert len(commands) == 7
    for command in commands:
        if "trackio" not in command and "mlflow" not in command:  # slow or once a process; their own tests run them
            assert told(command)
    assert (folder / "lenet.onnx").stat().st_size > 1e5
    names = {}
    for number, block in enumerate(blocks("python")):
        exec(compile(block, f"integrations.md, block {number}", "exec"), names)
    printed = capsys.readouterr().out
    assert "ndarray (16, 1, 28, 28)" in printed
    assert float(printed.strip().splitlines()[-1]) < 1e-4
    assert names["maps"].shape == (16, 1, 28, 28)


def test_every_door_is_documented_and_every_link_leads_somewhere():
    text = DOC.read_text(encoding="utf-8")
    package = Path(importlib.util.find_spec("pellucid.integrations").origin).parent
    inner = {"__init__", "extras", "image_ids", "card", "loggers"}
    for door in {path.stem for path in package.glob("*.py")} - inner:
        assert f"pellucid.integrations.{door}" in text
    headings = {
        re.sub(r"[^\w -]", "", line[3:]).strip().lower().replace(" ", "-")
        for line in text.splitlines()
        if line.startswith("## ")
    }
    assert set(re.findall(r"\]\(#([\w-]+)\)", text)) == headings | set()


@pytest.fixture(autouse=True)
def quiet_lightning():
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
