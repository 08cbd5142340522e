"""From a served study to the unsealed report, by the commands."""

import csv
import json
import math
import shutil
import subprocess

import pytest
from tiny_study import build_tiny
from typer.testing import CliRunner

from pellucid.cli.study import app
from pellucid.errors import BadInput
from pellucid.files import read_json
from pellucid.study.key import key_path
from pellucid.study.r_script import numbers

RSCRIPT = shutil.which("Rscript")
PLAN = "exclusions: {same_share: null}\nresamples: 100\n"


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)


@pytest.fixture(scope="module")
def answered(tmp_path_factory):
    """A study in which simulated people took part over HTTP, and their number."""
    folder = tmp_path_factory.mktemp("dry-run") / "study"
    build_tiny(folder, images=2)
    done = run("simulate", folder, "--participants", 14, "--concurrency", 4, "--seed", 3, "--json")
    counted = json.loads(done.stdout)
    assert (counted["joined"], counted["finished"]) == (14, 14)
    return folder


@pytest.fixture
def study(answered, tmp_path):
    shutil.copytree(answered, tmp_path / "study")
    shutil.copy(key_path(answered), key_path(tmp_path / "study"))
    (tmp_path / "plan.yaml").write_text(PLAN)
    return tmp_path / "study"


def test_blinded_it_counts_and_names_no_model(study):
    found = json.loads(run("analyze", study, "--json").stdout)
    assert found["unsealed"] is False
    assert found["answers"]["trust"] == {"answers": 14 * 6, "missing": 0}
    assert found["answers"]["choice"] == {"answers": 14 * 2, "missing": 0}
    text = run("analyze", study).stdout
    assert "trust: 84 answers, 0 missing" in text
    assert not (study / "unsealed.json").exists()
    assert not any(f'"{model}"' in json.dumps(found) for model in "NAG")


def test_frozen_then_unsealed_the_simulated_people_are_found_again(study, tmp_path):
    frozen = run("freeze", study, "--plan", tmp_path / "plan.yaml")
    assert read_json(study / "plan.json")["sha256"] in frozen.stdout
    found = json.loads(run("analyze", study, "--unseal", "--json").stdout)
    assert found["participants"]["analysed"] == 14
    means = {row["model"]: row["mean"]["value"] for row in found["questions"]["sufficiency"]["descriptive"]}
    assert means["G"] > means["A"] > means["N"]
    assert sum(row["chosen"] for row in found["preference"]["shares"]) == 28
    assert (tmp_path / "study-analysis" / "index.html").is_file()
    assert not list(study.glob("*analysis*"))
    said = run("analyze", study, "--unseal", "--out", tmp_path / "elsewhere").stdout
    assert "14 people took part" in said
    assert f"report: {tmp_path / 'elsewhere' / 'index.html'}" in said


@pytest.mark.skipif(RSCRIPT is None, reason="NOT COMPARED WITH R: there is no Rscript on this machine")
def test_r_gives_the_same_numbers_from_the_exported_answers(study, tmp_path):
    run("freeze", study, "--plan", tmp_path / "plan.yaml")
    run("analyze", study, "--unseal")
    out = tmp_path / "study-analysis"
    run("export", study, "--out", tmp_path / "export")
    assert (out / "answers.csv").read_bytes() == (tmp_path / "export" / "answers.csv").read_bytes()
    subprocess.run([RSCRIPT, "--vanilla", out / "analysis.R"], check=True, capture_output=True)
    with (out / "numbers-r.csv").open() as file:
        theirs = {row["name"]: row["value"] for row in csv.DictReader(file)}
    ours = numbers(read_json(out / "analysis.json"))
    assert len(ours) > 140
    for name, value in ours.items():
        expected = math.nan if value is None else value
        assert float(theirs[name].replace("NA", "nan")) == pytest.approx(expected, rel=1e-6, abs=1e-6, nan_ok=True), (
            name
        )


def test_unsealing_needs_a_plan_and_the_key(study, tmp_path):
    with pytest.raises(BadInput, match="no frozen analysis plan"):
        run("analyze", study, "--unseal")
    run("freeze", study)
    with pytest.raises(BadInput, match="cannot read"):
        run("analyze", study, "--unseal", "--key", tmp_path / "absent.json")
    assert not (study / "unsealed.json").exists()


def test_simulated_people_do_not_mix_with_others(study):
    with pytest.raises(BadInput, match="14 people took part"):
        run("simulate", study)


def test_without_answers_it_says_so(tmp_path):
    build_tiny(tmp_path / "study", images=2)
    with pytest.raises(BadInput, match="no answers yet"):
        run("analyze", tmp_path / "study")
    with pytest.raises(BadInput, match="pellucid study build"):
        run("analyze", tmp_path)


def test_power_and_audit_speak(tmp_path):
    path = tmp_path / "effects.yaml"
    path.write_text("trust: {means: {N: 2, G: 4}, sds: {N: 1, G: 1}}")
    words = ("power", "--effect", path, "--repeats", 20, "--most", 30, "--images", 3)
    found = json.loads(run(*words, "--json").stdout)
    assert run(*words).stdout.startswith(f"{found['participants']} participants × 3 images")
    assert json.loads(run("audit", "--json").stdout)["questions"][0]["ratings_from_f_and_p"] == 840
    assert "280 a model" in run("audit").stdout
