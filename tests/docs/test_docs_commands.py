"""Every command of every page is one that the command line understands."""

import shlex

import pytest
import typer
from pages import DOCS, PAGES, TAUGHT, commands

from pellucid.cli import UsageError, app


@pytest.fixture(scope="module")
def understood():
    """The command line, of which no command does anything: `understood(words)` reads them, and raises what it says."""
    root = typer.main.get_command(app)

    def silence(command):
        command.callback = None
        for below in getattr(command, "commands", {}).values():
            silence(below)

    silence(root)
    return lambda words: root.main(list(words), prog_name="pellucid", standalone_mode=False)


@pytest.mark.parametrize("path", [path for path in PAGES if commands(path)], ids=lambda path: path.stem)
def test_the_commands_of_a_page_are_understood(path, understood):
    for line in commands(path):
        words = [word for word in shlex.split(line.replace("…", ""))[1:] if word not in {"|", ">"}]
        try:
            understood(words)
        except UsageError as error:
            pytest.fail(f"{path.relative_to(DOCS)}: {line}: {error.format_message()}")


def test_the_pages_that_teach_have_commands():
    assert {page: len(commands(DOCS / page)) > 2 for page in TAUGHT} == dict.fromkeys(TAUGHT, True)


@pytest.mark.parametrize("line", ["measure", "measure RUN --imges 3", "gate A B --alpha lots", "study freez STUDY"])
def test_a_command_that_is_wrong_is_noticed(line, understood):
    with pytest.raises(UsageError):
        understood(line.split())
