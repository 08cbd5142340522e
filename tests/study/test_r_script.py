"""The script beside an analysis, run by R on the exported CSV: the same numbers as our JSON."""

import csv
import io
import math
import shutil
import subprocess

import numpy as np
import pytest
from answer_rows import LENIENT, choice, from_arrays, make_key, make_plan, make_study, person, rating, simulated

from pellucid.study.analysis import analyse
from pellucid.study.effects import PUBLISHED
from pellucid.study.ordinal_model import OrdinalFit, fit_ordinal
from pellucid.study.r_script import _quoted, numbers, numbers_csv, r_script, stimuli_csv
from pellucid.study.table import ratings

RSCRIPT = shutil.which("Rscript")
needs_r = pytest.mark.skipif(RSCRIPT is None, reason="NOT COMPARED WITH R: there is no Rscript on this machine")


ONE = {"sufficiency": PUBLISHED["sufficiency"]}


def as_csv(answers):
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rating("", 0, 0, "", 0)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(answers)
    return out.getvalue()


def in_r(folder, answers, people, images, *arguments, key=None, **plan):
    """Our numbers and R's, by name."""
    key = key or make_key(images)
    result = analyse(make_study(images), make_plan(**{"exclusions": LENIENT} | plan), key, answers, people)
    files = {
        "analysis.R": r_script(result, result["participants"]["kept"]),
        "numbers.csv": numbers_csv(result),
        "stimuli.csv": stimuli_csv(key),
        "answers.csv": as_csv(answers),
    }
    for name, content in files.items():
        (folder / name).write_text(content)
    command = [RSCRIPT, "--vanilla", str(folder / "analysis.R"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    assert done.returncode == 0, done.stderr
    with (folder / "numbers-r.csv").open() as file:
        theirs = {
            row["name"]: math.nan if row["value"] == "NA" else float(row["value"]) for row in csv.DictReader(file)
        }
    return numbers(result), theirs, done.stdout


def assert_same(ours, theirs):
    assert set(ours) <= set(theirs)
    for name, value in ours.items():
        p = name.rsplit("/", 1)[-1] in {"p", "p_holm"}
        close = pytest.approx(value, rel=1e-6, abs=1e-290 if p else 1e-6, nan_ok=True)
        assert theirs[name] == close, name


def missing_some(answers, share):
    generator = np.random.default_rng(0)
    return [row for row in answers if generator.random() > share]


@needs_r
def test_a_study_with_gaps_and_exclusions(tmp_path):
    answers, people = simulated(participants=40, images=4, seed=1)
    answers = missing_some(answers, 0.1)
    people[3] = people[3] | {"state": "open"}
    names = {
        row["participant"]: f'{row["participant"]}", q(); "\\ é,' for row in people
    }  # R must take them as they are
    answers = [row | {"participant": names[row["participant"]], "reason": 'so, "it" is\n=1+1'} for row in answers]
    people = [row | {"participant": names[row["participant"]]} for row in people]
    exclusions = LENIENT.model_copy(update={"unfinished": True})
    ours, theirs, said = in_r(tmp_path, answers, people, 4, exclusions=exclusions, questions=("trust", "choice"))
    assert len(ours) > 140
    assert sum(math.isnan(value) for value in ours.values()) == 0
    assert_same(ours, theirs)
    assert "0 undefined on one side only" in said


@needs_r
def test_more_than_fifty_participants_where_the_normal_approximation_takes_over(tmp_path):
    ours, theirs, _ = in_r(tmp_path, *simulated(ONE, participants=60, images=2, seed=2), 2, contrasts=(("N", "G"),))
    assert_same(ours, theirs)


@needs_r
@pytest.mark.parametrize("case", ["identical", "alone", "sparse"])
def test_strange_data(tmp_path, case):
    likert = np.random.default_rng(0).integers(1, 6, (6, 3, 3)).astype(float)
    answers, people = {
        "identical": from_arrays({"sufficiency": np.full((6, 3, 3), 3.0), "trust": likert}, np.full((6, 3), 2)),
        "alone": from_arrays({"sufficiency": likert[:1], "trust": likert[:1]}, np.full((1, 3), 2)),
        "sparse": ([rating("a", 0, 0, "trust", 4), choice("b", 0, 1)], [person("a"), person("b")]),
    }[case]
    ours, theirs, _ = in_r(tmp_path, answers, people, 3)
    assert_same(ours, theirs)


@needs_r
def test_the_mixed_model_agrees_in_direction(tmp_path):
    ours, theirs, said = in_r(tmp_path, *simulated(ONE, participants=10, images=3, seed=3), 3, "--mixed")
    assert "Cumulative Link Mixed Model" in said
    for pair in ("A-N", "G-N"):
        marginal = ours[f"sufficiency/ordinal/{pair}/log_odds_ratio"]
        assert (
            theirs[f"sufficiency/ordinal-mixed/{pair}/log_odds_ratio"] > marginal > 0
        )  # random effects: farther from 0


def test_names_stay_inside_their_quotes():
    assert _quoted('a"b\\c\nd') == '"a\\"b\\\\c\\nd"'


def table(values):
    answers, people = from_arrays({"trust": values})
    return ratings(answers, "trust", make_key(values.shape[1]), [row["participant"] for row in people])


def test_the_ordinal_model_recovers_log_odds_ratios():
    generator = np.random.default_rng(0)
    latent = generator.logistic(size=(150, 2, 3)) + np.array([0.0, 1.0, 2.0])
    fit = fit_ordinal(table(1.0 + np.digitize(latent, [-1, 0.5, 1.5, 3])))
    assert isinstance(fit, OrdinalFit)
    for first, second, truth in (("A", "N", 1), ("G", "N", 2), ("G", "A", 1), ("N", "G", -2)):
        effect, error = fit.contrast(first, second)
        assert abs(effect - truth) < 4 * error < 0.8
    forth, back = fit.contrast("G", "A"), fit.contrast("A", "G")
    assert forth == pytest.approx((-back[0], back[1]))


def test_standard_errors_respect_participants():
    """The same answers given ten times by each person: as sure as ten people, not as a hundred."""
    once = np.random.default_rng(1).integers(1, 6, (12, 1, 3)).astype(float)
    one, ten = fit_ordinal(table(once)), fit_ordinal(table(np.repeat(once, 5, axis=1)))
    assert ten.effects == pytest.approx(one.effects, abs=1e-3)
    assert ten.contrast("G", "N")[1] == pytest.approx(one.contrast("G", "N")[1], rel=0.15)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (np.full((4, 2, 3), 3.0), "all ratings are the same"),
        (np.array([[[1, 2, 3], [3, 2, 5]]]), "at least two participants"),
        (np.array([[[1, 2, np.nan]], [[3, 2, np.nan]]]), "a model has no ratings"),
        (np.tile([1.0, 1.0, 5.0], (6, 2, 1)), "did not converge"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_where_the_ordinal_model_cannot_be_fitted_it_says_why(values, sentence):
    assert sentence in fit_ordinal(table(values))
