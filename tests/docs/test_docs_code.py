"""The Python and the YAML of the pages that teach."""

import sys

import pytest
import yaml
from pages import DOCS, PAGES, TAUGHT, blocks

from pellucid.experiments.config import check
from pellucid.experiments.grid.spec import check_spec, points
from pellucid.passport.claims import read_claims
from pellucid.study.plan import Plan
from pellucid.study.protocol import Protocol

NOT_RUN = {"howto/engineer.md": ["needs the file of the command above, and the onnx extra"]}
"""Every block that no test runs, with its reason."""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A scratch folder in which Python finds modules, as the pages say; what they import from it is forgotten after."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for path in tmp_path.glob("*.py"):
        sys.modules.pop(path.stem, None)


# The tutorial's Python needs its commands, and runs with them: test_docs_tutorial.py.
@pytest.mark.parametrize("page", TAUGHT[1:])
def test_the_python_of_a_page_runs_in_its_order(page, folder, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    names = {"__name__": "page"}
    for block in blocks(DOCS / page):
        if block.name:
            (folder / block.name).write_text(block.text, encoding="utf-8")
        elif block.language == "python" and not block.reason:
            exec(compile(block.text, page, "exec"), names)


BEFORE = {
    "objectives.md": "",
    "doctor.md": """
import torch
from pellucid.models.opening import open_model

model = open_model("lenet", channels=1, classes=2, image_size=28)
(x_train, y_train), (x_test, y_test) = [(torch.rand(40, 1, 28, 28), torch.arange(40) % 2) for _ in range(2)]
""",
    "statistics.md": """
import numpy

table, differences = numpy.random.default_rng(0).normal(size=(3, 20)), [0.031, -0.004, 0.052]
""",
}
"""What the pages on single subjects presume; models.md, norms.md and integrations.md have tests of their own."""


@pytest.mark.parametrize("page", BEFORE)
def test_the_python_of_a_page_on_one_subject_runs(page):
    names = {"__name__": "page"}
    exec(BEFORE[page], names)
    code = [block.text for block in blocks(DOCS / page) if block.language == "python"]
    assert code
    for text in code:
        exec(compile(text, page, "exec"), names)


def test_no_page_with_python_is_forgotten():
    found = {str(path.relative_to(DOCS)) for path in PAGES if any(one.language == "python" for one in blocks(path))}
    assert found == {*TAUGHT, *BEFORE, "models.md", "norms.md", "integrations.md"} - {"howto/study.md"}


def test_blocks_that_are_not_run_have_a_reason_that_is_known_here():
    found = {str(path.relative_to(DOCS)): [one.reason for one in blocks(path) if one.reason] for path in PAGES}
    assert {page: reasons for page, reasons in found.items() if reasons} == NOT_RUN


def checked(text, folder):
    """What the YAML is for is seen from what it holds."""
    raw = yaml.safe_load(text)
    if isinstance(raw, list):
        (folder / "claims.yaml").write_text(text, encoding="utf-8")
        return read_claims(folder / "claims.yaml")
    if "axes" in raw:
        return points(check_spec(raw))
    if "consent" in raw:
        return Protocol(**raw)
    if "contrasts" in raw:
        return Plan(**raw, key_sha256="0" * 64, frozen_at="2026-01-01")
    return check(raw)


@pytest.mark.parametrize("page", TAUGHT)
def test_the_yaml_of_a_page_is_valid(page, folder):
    found = [block for block in blocks(DOCS / page) if block.language == "yaml"]
    assert found
    assert all(block.name for block in found)
    for block in found:
        assert checked(block.text, folder)


def test_the_researchers_grid_finds_the_researchers_objective(folder):
    named = {block.name: block.text for block in blocks(DOCS / "howto/researcher.md") if block.name}
    (folder / "my_objectives.py").write_text(named["my_objectives.py"], encoding="utf-8")
    cells = [check(point.raw) for point in points(check_spec(yaml.safe_load(named["mine.yaml"])))]
    assert len(cells) == 15
    assert {cell.objective.name for cell in cells} == {"natural", "adversarial", "my_objectives.blurred"}


@pytest.mark.parametrize("wrong", ["objective: naturall\n", "axes: {seed: []}\n", "- {metric: beauty, value: 1}\n"])
def test_a_yaml_block_that_is_wrong_would_be_noticed(wrong, folder):
    with pytest.raises(Exception, match=r"natural|seed|beauty|relation"):
        checked(wrong, folder)
