"""The commands: from two trained runs to an exported study, and what they say when something is wrong."""

import csv
import json
import subprocess
import sys
from types import SimpleNamespace

import pytest
from serving import Served
from typer.testing import CliRunner

from pellucid.cli import app
from pellucid.errors import BadInput
from pellucid.experiments.config import check
from pellucid.experiments.train import train
from pellucid.study.key import key_path, open_key
from pellucid.study.protocol import read_study
from pellucid.study.simulate import simulate


def pellucid(*words):
    result = CliRunner().invoke(app, ["study", *map(str, words)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return SimpleNamespace(said=result.output, code=result.exit_code)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for seed, name in enumerate(("N", "A")):
        config = {"data": {"name": "fashion-mnist-mini"}, "training": {"max_steps": 40, "device": "cpu"}, "seed": seed}
        train(check(config), folder / name)
    return [folder / "N", folder / "A"]


def middle(asked, _):
    return dict.fromkeys(asked.questions, 1 if asked.block == "choice" else 3)


def test_from_runs_to_answers(runs, tmp_path):
    study = tmp_path / "study"
    built = pellucid("build", *runs, "--images", 2, "--practice", 1, "--seed", 1, "--out", study)
    public = read_study(study)
    assert public.key_sha256 in built.said
    assert (len(public.images), public.conditions, public.seed) == (2, 2, 1)
    key = open_key(key_path(study), public.key_sha256)
    assert {sealed.model for sealed in key.stimuli.values()} == {"N", "A"}
    with Served(study) as served:
        assert served.link.startswith("http://127.0.0.1:")
        assert simulate(served.link, 2, concurrency=2, ratings=middle).finished == 2
    pellucid("export", study, "--out", tmp_path / "out")
    with (tmp_path / "out" / "answers.csv").open() as file:
        answers = list(csv.DictReader(file))
    assert len(answers) == 2 * (2 * 5 + 2 + 2)
    code = answers[0]["participant"]
    assert pellucid("forget", study, code).said.strip() == f"{code}: deleted"
    pellucid("export", study, "--out", tmp_path / "later", "--anonymous")
    content = json.loads((tmp_path / "later" / "answers.json").read_text())
    assert len(content["answers"]) == len(answers) // 2
    assert [person["state"] for person in content["participants"]].count("forgotten") == 1
    with pytest.raises(BadInput, match="no participant 'P-none'"):
        pellucid("forget", study, "P-none")


def test_commands_name_what_is_missing(tmp_path):
    for words in (("serve", tmp_path), ("export", tmp_path, "--out", tmp_path / "x"), ("forget", tmp_path, "P-1")):
        with pytest.raises(BadInput, match="holds no study"):
            pellucid(*words)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--root-path", "maps"), "must begin with a slash"),
        (("--completion-url", "javascript:alert(1)"), "completion.url"),
    ],
)
def test_serve_refuses_what_cannot_work(folder, words, message):
    with pytest.raises(BadInput, match=message):
        pellucid("serve", folder, *words)


def test_without_the_extra_one_sentence_says_what_to_install(folder):
    code = (
        "import sys; sys.modules['sqlalchemy'] = None; "
        "sys.argv = ['pellucid', 'study', 'export', sys.argv[1], '--out', 'x']; "
        "from pellucid.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.strip() == "pellucid: this needs the study extra: pip install 'pellucid[study]'"
