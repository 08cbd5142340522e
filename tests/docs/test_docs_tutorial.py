"""The tutorial, done: every file, every command and every line of Python of it, in order, in one empty folder."""

import glob
import shlex

import pytest
from pages import DOCS, blocks

from pellucid.cli import app

PAGE = DOCS / "tutorial.md"


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """The folder, the names of the page's Python, and what the commands printed."""
    folder, names, said = tmp_path_factory.mktemp("tutorial"), {"__name__": "tutorial"}, []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for block in blocks(PAGE):
            if block.name:
                (folder / block.name).write_text(block.text, encoding="utf-8")
            elif block.language == "python":
                exec(compile(block.text, "tutorial.md", "exec"), names)
            elif block.language == "console":
                said += [typed(line) for line in block.text.splitlines()]
    return folder, names, said


def typed(line):
    """Run one command in this process, patterns of file names filled in as a shell does it."""
    program, *words = shlex.split(line)
    assert program == "pellucid"
    app([name for word in words for name in sorted(glob.glob(word)) or [word]], standalone_mode=False)
    return line


def test_it_leaves_what_it_promises(done):
    folder, _, said = done
    assert len(said) == 7
    for run in ("runs/N", "runs/R"):
        assert (folder / run / "weights.safetensors").stat().st_size > 0
        assert (folder / run / "measurements" / "gradient.jsonl").stat().st_size > 0
    assert len(list((folder / "maps").glob("*.png"))) == len(list((folder / "maps-R").glob("*.png"))) == 3
    assert "<html" in (folder / "runs/report/index.html").read_text(encoding="utf-8")


def test_the_readable_model_of_the_loop_is_ahead_as_the_page_says(done):
    numbers = done[1]["numbers"]
    assert numbers["readable"]["gini"] > numbers["natural"]["gini"]
    assert numbers["readable"]["ssim"] > numbers["natural"]["ssim"]
