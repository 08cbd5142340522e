"""The code of the documentation runs, and its configs are valid."""

import re
import sys
from pathlib import Path

import pytest
import yaml

from pellucid.experiments.config import check
from pellucid.experiments.duality import make_penalty

NORMS = Path(__file__).parents[1] / "docs" / "norms.md"


def blocks(path, language):
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.fixture
def my_norms(tmp_path, monkeypatch):
    """The code block as a module that a config or the command line may name."""
    (code,) = blocks(NORMS, "python")
    (tmp_path / "my_norms.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("my_norms", None)


def test_the_norm_of_your_own_runs(my_norms):
    import my_norms as module

    assert module.loss.total.item() > 0
    assert all(weight.grad.isfinite().all() for weight in module.model.parameters())


def test_its_config_and_its_commands_name_what_the_code_defines(my_norms):
    (config,) = blocks(NORMS, "yaml")
    assert check(yaml.safe_load(config)).objective.options == {"eps": 0.1, "width": 4}
    commands = re.findall(r"--duality (\S+)(.*)", NORMS.read_text(encoding="utf-8"))
    assert len(commands) == 2
    made = [make_penalty(name, re.findall(r"--option (\S+)", options)) for name, options in commands]
    assert [type(penalty).__name__ for penalty in made] == ["Border", "GroupNorm"]
    assert (made[0].eps, made[0].width) == (0.1, 6)
