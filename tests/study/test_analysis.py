import math

import numpy as np
import pytest
from answer_rows import (
    LENIENT,
    check,
    choice,
    from_arrays,
    make_key,
    make_plan,
    make_study,
    person,
    rating,
    simulated,
    stimulus,
)
from scipy import stats

from pellucid.errors import BadInput
from pellucid.files import read_json, write_json
from pellucid.statistics.multiple import holm
from pellucid.study.analysis import analyse, blinded, unseal
from pellucid.study.effects import PUBLISHED, no_effect
from pellucid.study.key import key_path, seal
from pellucid.study.plan import UNSEALED, freeze
from pellucid.study.power import Search, planned_participants
from pellucid.study.rating_analysis import participant_means
from pellucid.study.sentences import sentences

X = math.nan


@pytest.fixture(autouse=True)
def _no_ordinal_model(monkeypatch):
    """Its fit takes seconds, and has tests of its own."""
    monkeypatch.setattr("pellucid.study.rating_analysis.fit_ordinal", lambda _: "not fitted here")


def analysed(answers, people, images=10, models=("N", "A", "G"), **plan):
    plan = make_plan(**{"exclusions": LENIENT} | plan)
    return analyse(make_study(images, models), plan, make_key(images, models), answers, people)


def contrast(table, first, second):
    return next(row for row in table["contrasts"] if (row["first"], row["second"]) == (first, second))


def test_the_papers_means_give_g_over_a_over_n_at_the_planned_number():
    planned = planned_participants(PUBLISHED, Search(repeats=60, most=40), images=10, seed=3)["participants"]
    assert planned < 40
    result = analysed(*simulated(participants=planned, seed=8))
    sufficiency = result["questions"]["sufficiency"]
    means = {row["model"]: row["mean"]["value"] for row in sufficiency["descriptive"]}
    assert means["G"] > means["A"] > means["N"]
    for pair in (("A", "N"), ("G", "N"), ("G", "A")):
        row = contrast(sufficiency["repeated_measures"], *pair)
        assert row["significant"]
        assert row["p_holm"] < 0.05
        assert 0 < row["mean_difference"]["low"] < row["mean_difference"]["value"] < row["mean_difference"]["high"]
        assert row["rank_biserial"]["value"] > 0
        assert row["cliffs_delta"]["value"] > 0
    shares = {row["model"]: row["share"]["value"] for row in result["preference"]["shares"]}
    assert shares["G"] > shares["A"] > shares["N"]


def test_without_an_effect_it_finds_none():
    result = analysed(*simulated(no_effect(), participants=30, seed=2))
    tables = [found["repeated_measures"] for found in result["questions"].values()] + [
        result["preference"]["participants"]
    ]
    assert not any(row["significant"] for table in tables for row in table["contrasts"])
    assert sum("no evidence of a difference" in line for line in sentences(result)) == 9


def test_every_number_is_scipys_on_the_arrays_behind_the_rows():
    generator = np.random.default_rng(7)
    rated = generator.integers(1, 6, (20, 4, 3)).astype(float)
    result = analysed(*from_arrays({"trust": rated}), images=4, questions=("trust",))["questions"]["trust"]
    described = result["descriptive"][2]
    assert (described["model"], described["n"], described["missing"]) == ("G", 80, 0)
    assert described["mean"]["value"] == pytest.approx(rated[..., 2].mean())
    assert described["sd"] == pytest.approx(rated[..., 2].std(ddof=1))
    assert described["median"] == np.median(rated[..., 2])
    assert described["distribution"] == [int((rated[..., 2] == point).sum()) for point in range(1, 6)]
    pairs = result["as_published"]["wilcoxon_over_pairs"][1]
    naive = stats.wilcoxon((rated[..., 2] - rated[..., 0]).ravel(), method="asymptotic", correction=False)
    assert (pairs["first"], pairs["second"]) == ("G", "N")
    assert pairs["p"] == pytest.approx(naive.pvalue, rel=1e-9)
    anova = stats.f_oneway(*(rated[..., k].ravel() for k in range(3)))
    assert result["as_published"]["anova"]["f"] == pytest.approx(anova.statistic)
    assert (result["as_published"]["anova"]["df1"], result["as_published"]["anova"]["df2"]) == (2, 237)
    means = rated.mean(axis=1)
    repeated = result["repeated_measures"]
    assert repeated["friedman"]["p"] == pytest.approx(stats.friedmanchisquare(*np.round(means, 9).T).pvalue)
    assert repeated["friedman"]["w"] == pytest.approx(repeated["friedman"]["chi2"] / 40)
    assert result["agreement"]["kendalls_w"] == repeated["friedman"]["w"]
    row = contrast(repeated, "A", "N")
    assert row["mean_difference"]["value"] == pytest.approx((means[:, 1] - means[:, 0]).mean())
    assert row["cliffs_delta"]["value"] == pytest.approx(
        np.sign(rated[..., 1].ravel()[:, None] - rated[..., 0].ravel()).mean()
    )


def test_holm_runs_over_the_family_of_the_plan_and_nothing_else():
    answers, people = simulated(no_effect(), participants=12, images=3, seed=4)
    whole = analysed(answers, people, images=3)
    only = analysed(answers, people, images=3, questions=("trust",), contrasts=(("N", "G"), ("A", "N")))
    tables = [whole["questions"][name]["repeated_measures"] for name in ("sufficiency", "trust")]
    rows = [row for table in [*tables, whole["preference"]["participants"]] for row in table["contrasts"]]
    assert len(rows) == 9
    np.testing.assert_allclose([row["p_holm"] for row in rows], holm([row["p"] for row in rows]))
    assert all(row["in_family"] for row in rows)
    family = only["questions"]["trust"]["repeated_measures"]["contrasts"]
    assert [(row["first"], row["second"]) for row in family] == [("N", "G"), ("A", "N")]
    np.testing.assert_allclose([row["p_holm"] for row in family], holm([row["p"] for row in family]))
    outside = only["questions"]["sufficiency"]["repeated_measures"]["contrasts"]
    assert not any(row["in_family"] or row["significant"] for row in outside)
    turned, straight = family[0], contrast(whole["questions"]["trust"]["repeated_measures"], "G", "N")
    assert turned["mean_difference"]["value"] == pytest.approx(-straight["mean_difference"]["value"])
    assert turned["p"] == pytest.approx(straight["p"])


def test_a_stricter_alpha_is_used():
    answers, people = simulated(participants=12, images=3, seed=4)
    rows = [analysed(answers, people, images=3, alpha=alpha)["questions"]["sufficiency"] for alpha in (0.05, 1e-12)]
    found = [[row["significant"] for row in one["repeated_measures"]["contrasts"]] for one in rows]
    assert any(found[0])
    assert not any(found[1])


def test_equal_differences_of_means_are_tied():
    """2.3 − 2.1 and 3.3 − 3.1 differ in the computer by rounding; as ranks they must not."""
    rated = np.array(
        [[[3, 4]] * 7 + [[3, 3]] * 3, [[1, 2]] * 7 + [[2, 2]] * 3, [[5, 4]] * 7 + [[1, 1]] * 3], dtype=float
    )
    answers, people = from_arrays({"trust": rated})
    row = analysed(answers, people, models=("N", "A"), questions=("trust",))["questions"]["trust"]["repeated_measures"]
    assert row["contrasts"][0]["statistic"] == 4  # midranks 2, 2, 2, of which two are positive


def test_means_are_over_the_images_rated_under_every_model():
    cube = np.array([[[1, 5, 3], [2, X, 2]], [[X, 1, 1], [X, X, X]]])
    np.testing.assert_allclose(participant_means(cube), [[1, 5, 3], [X, X, X]])


def test_missing_ratings_are_counted_and_pairs_are_complete():
    rated = np.array([[[1, 2, 3], [2, X, 4]], [[2, 2, X], [X, 4, 5]], [[1, 2, 5], [1, 3, 3]]])
    result = analysed(*from_arrays({"trust": rated}), images=2)["questions"]["trust"]
    assert [row["missing"] for row in result["descriptive"]] == [1, 1, 1]
    assert [row["n"] for row in result["descriptive"]] == [5, 5, 5]
    assert [row["pairs"] for row in result["as_published"]["wilcoxon_over_pairs"]] == [4, 4, 4]
    assert result["repeated_measures"]["participants"] == 2
    assert result["repeated_measures"]["incomplete"] == 1


def test_training_and_left_out_participants_do_not_count():
    rated = np.full((3, 2, 3), 3.0)
    rated[0] = [[1, 2, 4], [2, 3, 5]]
    answers, people = from_arrays({"trust": rated})
    answers += [choice(people[0]["participant"], 0, 2), choice(people[2]["participant"], 0, 2, reason="no")]
    answers += [choice(people[0]["participant"], 1, 1, reason=" ")]
    answers += [
        rating(people[0]["participant"], 0, 0, "trust", 5, block="training"),
        check(people[2]["participant"], 1),
    ]
    result = analysed(
        answers, people, images=2, exclusions=LENIENT.model_copy(update={"failed_checks": 0, "same_share": 1.0})
    )
    assert [(one["participant"], one["rule"]) for one in result["ledger"]] == [
        ("P-00000001", "same_share"),
        ("P-00000002", "failed_checks"),
    ]
    assert result["participants"]["kept"] == ["P-00000000"]
    assert result["preference"]["reasons"] == {"N": [], "A": [], "G": ["clear"]}
    assert result["participants"]["excluded"] == {"same_share": 1, "failed_checks": 1}
    assert [row["n"] for row in result["questions"]["trust"]["descriptive"]] == [2, 2, 2]
    assert result["questions"]["trust"]["descriptive"][0]["mean"]["value"] == 1.5


def degenerate():
    likert = np.random.default_rng(0).integers(1, 6, (6, 3, 3)).astype(float)
    alone, gone = likert[:1], likert.copy()
    gone[:, :, 2] = X
    scattered = np.full((3, 3, 3), X)
    for k in range(3):
        scattered[k, :, k] = 3
    best = np.full((6, 3), 2)
    return {
        "nobody": ([], []),
        "nobody answered": ([], [person("a"), person("b")]),
        "one participant": from_arrays({"sufficiency": alone, "trust": alone}, best[:1]),
        "identical ratings": from_arrays({"sufficiency": np.full((6, 3, 3), 3.0), "trust": likert}, best),
        "models alike for each person": from_arrays({"trust": np.repeat(likert[:, :, :1], 3, axis=2)}, best),
        "one model unrated": from_arrays({"trust": gone}, best),
        "nobody rated two models": from_arrays({"trust": scattered}),
        "each model has one rating of its own": from_arrays({"trust": np.tile([1.0, 3.0, 5.0], (6, 3, 1))}),
        "two participants": from_arrays({"trust": likert[:2]}, best[:2]),
        "one choice each": (
            [choice(name, 0, k % 3) for k, name in enumerate("abcdef")],
            [person(name) for name in "abcdef"],
        ),
        "one rating": ([rating("a", 0, 0, "trust", 4)], [person("a")]),
    }


def silent(value, path=(), said=False):
    """Every NaN without a note beside it or above it."""
    if isinstance(value, dict):
        said = said or bool(value.get("note"))
        for key, item in value.items():
            outside = key == "p_holm" and not value.get("in_family", True)
            yield from silent(item, (*path, key), said or outside)
    elif isinstance(value, list | tuple):
        for place, item in enumerate(value):
            yield from silent(item, (*path, place), said)
    elif isinstance(value, float) and not math.isfinite(value) and not said:
        yield path


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("case", degenerate())
def test_strange_data_get_an_answer_or_a_sentence(case):
    answers, people = degenerate()[case]
    result = analysed(answers, people, images=3)
    assert list(silent(result)) == []
    for line in sentences(result):
        assert "nan" not in line.lower().split()
        assert "undefined" not in line
    blinded(make_study(3), None, answers, people)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("case", ["many", "alone", "identical"])
def test_two_models(case):
    rated = np.random.default_rng(1).integers(1, 6, (8, 3, 2)).astype(float)
    rated = {"many": rated, "alone": rated[:1], "identical": np.full_like(rated, 2)}[case]
    answers, people = from_arrays({"sufficiency": rated, "trust": rated}, np.ones((len(rated), 3), dtype=int))
    result = analysed(answers, people, images=3, models=("N", "G"))
    assert list(silent(result)) == []
    note = result["questions"]["trust"]["repeated_measures"]["friedman"]["note"]
    assert ("two models" if case == "many" else "no Friedman test") in note
    assert sentences(result)


def test_models_have_their_usual_order_and_others_follow_by_name():
    rated = {"trust": np.ones((2, 1, 4))}
    result = analysed(*from_arrays(rated), images=1, models=("zeta", "G", "alpha", "N"))
    assert result["models"] == ["N", "G", "alpha", "zeta"]


def test_two_runs_of_one_arm_are_one_model():
    rated = np.array([[[1, 3, 5]], [[2, 4, 4]], [[1, 2, 5]]], dtype=float)
    key = make_key(1) | {stimulus(0, 1): "N"}
    answers, people = from_arrays({"trust": rated})
    found = analyse(make_study(1), make_plan(exclusions=LENIENT), key, answers, people)["questions"]["trust"]
    assert [row["n"] for row in found["descriptive"]] == [6, 3]
    assert contrast(found["repeated_measures"], "G", "N")["mean_difference"]["value"] == pytest.approx(
        (3 + 1 + 3.5) / 3
    )


@pytest.mark.parametrize("value", ["6", "0", "x", "", "2.5", "nan"])
def test_a_rating_that_is_none_is_named(value):
    with pytest.raises(BadInput, match=f"participant a, trial 0, question 'trust': the rating is '{value}'"):
        analysed([rating("a", 0, 0, "trust", value)], [person("a")])


def test_rows_that_do_not_fit_are_named():
    once = rating("a", 0, 0, "trust", 4)
    with pytest.raises(BadInput, match="rated twice"):
        analysed([once, once], [person("a")])
    with pytest.raises(BadInput, match="not in the key"):
        analysed([once | {"stimulus": "feedfeedfeedfeed"}], [person("a")])
    with pytest.raises(BadInput, match="unknown model in the plan's contrasts 'M1'"):
        analysed([once], [person("a")], contrasts=(("M1", "N"),))


def test_blinded_counts_do_not_depend_on_the_key():
    answers, people = simulated(participants=5, images=2)
    answers = answers[1:]
    people[4] = people[4] | {"state": "open"}
    found = blinded(make_study(2), None, answers, people)
    assert found["answers"] == {
        "sufficiency": {"answers": 29, "missing": 1},
        "trust": {"answers": 30, "missing": 0},
        "choice": {"answers": 10, "missing": 0},
    }
    strict = blinded(make_study(2), make_plan(), answers, people)
    assert strict["participants"]["excluded"]["unfinished"] == 1
    for text in (str(found), str(strict)):
        assert not any(name in text for name in make_key(2))
        assert "'N'" not in text


@pytest.fixture
def sealed(tmp_path):
    study = tmp_path / "study"
    key = seal(
        {
            name: {"model": model, "run": f"run-{model}", "image": 1, "class": "boat"}
            for name, model in make_key(2).items()
        }
    )
    public = make_study(2).model_copy(update={"key_sha256": key.sha256()})
    write_json(study / "study.json", public.model_dump(by_alias=True, mode="json"))
    write_json(key_path(study), key.model_dump(by_alias=True))
    return study


def test_the_key_opens_only_after_the_plan_is_frozen(sealed):
    with pytest.raises(BadInput, match="no frozen analysis plan"):
        unseal(sealed)
    assert not (sealed / UNSEALED).exists()
    sha = freeze(sealed, {})[1]
    assert unseal(sealed) == make_key(2)
    first = read_json(sealed / UNSEALED)
    assert first["plan_sha256"] == sha
    unseal(sealed)
    assert read_json(sealed / UNSEALED) == first


def test_only_the_right_key_and_the_right_plan_open(sealed, tmp_path):
    freeze(sealed, {})
    wrong = read_json(key_path(sealed)) | {"nonce": "1" * 32}
    write_json(tmp_path / "wrong.json", wrong)
    with pytest.raises(BadInput, match="not the key of this study"):
        unseal(sealed, tmp_path / "wrong.json")
    plan = (sealed / "plan.json").read_text()
    study = read_json(sealed / "study.json")
    write_json(sealed / "study.json", study | {"key_sha256": "f" * 64})
    with pytest.raises(BadInput, match="another study"):
        unseal(sealed)
    assert (sealed / "plan.json").read_text() == plan
