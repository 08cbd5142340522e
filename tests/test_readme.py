"""The README's code runs, and its commands and links exist."""

import re
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def test_the_code_block_runs(capsys):
    (block,) = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    exec(compile(block, "README.md", "exec"), {})
    assert 0 < float(re.search(r"tensor\((.*?),", capsys.readouterr().out).group(1)) < 1


def test_the_config_is_valid():
    import yaml

    from pellucid.experiments.config import check

    (block,) = re.findall(r"```yaml\n(.*?)```", README.read_text(), flags=re.DOTALL)
    assert check(yaml.safe_load(block)).model.name == "lenet"


def test_links_and_scripts_exist():
    text = README.read_text()
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    scripts = re.findall(r"bash (scripts/\S+)", text)
    assert len(links) >= 4
    assert len(scripts) == 2
    for name in [*links, *scripts]:
        assert (README.parent / name).exists(), name


def test_every_command_is_documented():
    from pellucid.cli import app

    text = README.read_text()
    for command in app.registered_commands:
        assert f"pellucid {command.name or command.callback.__name__}" in text
