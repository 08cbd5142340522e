import numpy as np
import pytest
from answer_rows import LENIENT, from_arrays, make_key, make_plan, make_study
from scipy import stats

from pellucid.errors import BadInput
from pellucid.study.analysis import analyse
from pellucid.study.effects import (
    PUBLISHED,
    Effect,
    all_effects,
    chances,
    no_effect,
    read_effects,
    simulate_choices,
    simulate_ratings,
)
from pellucid.study.power import Search, planned_participants, power_lines, rejections, simulate_studies

LARGE = {"trust": Effect({"N": 2.0, "G": 4.0}, {"N": 0.8, "G": 0.8})}


@pytest.mark.parametrize("question", ["sufficiency", "trust"])
def test_simulated_ratings_have_the_means_and_spreads_that_were_asked_for(question):
    effect = PUBLISHED[question]
    ratings = simulate_ratings(effect, (300, 40, 10), np.random.default_rng(0))
    assert set(np.unique(ratings)) <= {1, 2, 3, 4, 5}
    np.testing.assert_allclose(ratings.mean((0, 1, 2)), list(effect.means.values()), atol=0.02)
    np.testing.assert_allclose(ratings.std((0, 1, 2)), list(effect.sds.values()), atol=0.02)


def test_chances_have_these_moments():
    chance = chances(3.33, 1.03)
    assert chance.sum() == pytest.approx(1)
    mean = chance @ np.arange(1, 6)
    assert (mean, np.sqrt(chance @ (np.arange(1, 6) - mean) ** 2)) == pytest.approx((3.33, 1.03), abs=1e-6)


def test_people_differ_by_as_much_as_they_are_told_to():
    def between(share):
        effect = Effect({"N": 3.0}, {"N": 1.0}, participant=share, image=0.0, taste=0.0)
        means = simulate_ratings(effect, (1, 400, 40), np.random.default_rng(1)).astype(float)[0, :, :, 0].mean(axis=1)
        return means.var(ddof=1)

    assert between(0.0) == pytest.approx(1 / 40, rel=0.25)
    assert between(0.5) == pytest.approx(0.5 + 0.5 / 40, rel=0.25)


def test_choices_go_to_what_is_rated_best_and_ties_to_anybody():
    ratings = np.array([[[[1, 5, 2], [4, 4, 1]]]] * 1).repeat(400, axis=0).astype(np.int8)
    chosen = simulate_choices([ratings, ratings], np.random.default_rng(0))
    assert (chosen[:, 0, 0] == 1).all()
    assert set(chosen[:, 0, 1].tolist()) == {0, 1}
    assert np.mean(chosen[:, 0, 1]) == pytest.approx(0.5, abs=0.08)


def test_the_tests_are_those_of_the_analysis():
    """One simulated study, analysed from its rows and by the fast path: the same adjusted p-values decide."""
    effects = {"sufficiency": PUBLISHED["sufficiency"], "trust": PUBLISHED["trust"]}
    generator = np.random.default_rng(5)
    rated = {name: simulate_ratings(effect, (1, 16, 4), generator) for name, effect in effects.items()}
    chosen = simulate_choices(list(rated.values()), generator)
    answers, people = from_arrays({name: values[0] for name, values in rated.items()}, chosen[0])
    result = analyse(make_study(4), make_plan(exclusions=LENIENT), make_key(4), answers, people)
    simulated = simulate_studies(effects, participants=16, images=4, repeats=1, seed=5)
    tables = {name: found["repeated_measures"] for name, found in result["questions"].items()}
    tables["choice"] = result["preference"]["participants"]
    rows = {(name, row["first"], row["second"]): row for name, table in tables.items() for row in table["contrasts"]}
    fast = rejections(simulated, 16)[0]
    assert len(fast) == len(rows) == 9
    for contrast, differences, rejected in zip(simulated.contrasts, simulated.differences, fast, strict=True):
        assert rows[contrast]["mean_difference"]["value"] == pytest.approx(differences[0].mean(), abs=1e-9)
        assert rows[contrast]["significant"] == rejected


def test_without_an_effect_95_of_100_studies_find_nothing():
    """200 repeats: not more family-wise false alarms than a binomial with 5 % allows with probability .999."""
    simulated = simulate_studies(no_effect(), participants=65, images=10, repeats=200, seed=11)
    alarms = int(rejections(simulated, 65).any(axis=1).sum())
    assert alarms <= stats.binom.ppf(0.999, 200, 0.05)


def test_the_papers_tests_would_cry_wolf_where_ours_do_not():
    """People with tastes of their own: pairs within a person are no independent evidence."""
    effect = Effect(dict.fromkeys("NAG", 3.0), dict.fromkeys("NAG", 1.0), participant=0.2, image=0.0, taste=0.4)
    ratings = simulate_ratings(effect, (200, 20, 10), np.random.default_rng(2)).astype(float)
    ours = rejections(simulate_studies({"trust": effect}, participants=20, images=10, repeats=200, seed=2), 20)
    naive = [stats.wilcoxon((one[..., 2] - one[..., 0]).ravel(), method="asymptotic").pvalue < 0.05 for one in ratings]
    assert np.mean(naive) > 0.2
    assert ours.any(axis=1).mean() <= stats.binom.ppf(0.999, 200, 0.05) / 200


def test_the_planned_number_is_the_smallest_that_is_enough():
    search = Search(repeats=60, most=60, power=0.9)
    found = planned_participants(LARGE, search, images=4, seed=1)
    curve = {row["participants"]: row["power"] for row in found["curve"]}
    place = found["contrasts"].index(["trust", "G", "N"])
    assert found["required"] == [["trust", "G", "N"]]
    assert curve[found["participants"]][place] >= 0.9
    assert curve[found["participants"] - 1][place] < 0.9
    assert planned_participants(LARGE, search, images=4, seed=1) == found
    assert f"{found['participants']} participants" in power_lines(found)[0]


def test_more_than_can_be_had_is_said():
    weak = {"trust": Effect({"N": 3.0, "G": 3.2}, {"N": 1.0, "G": 1.0})}
    found = planned_participants(weak, Search(repeats=30, most=10), images=3)
    assert found["participants"] is None
    assert power_lines(found)[0].startswith("more than 10 participants")
    with pytest.raises(BadInput, match="nothing to plan for"):
        planned_participants(no_effect(), Search(repeats=20, most=10), images=3)


def test_effects_by_name_and_from_a_file(tmp_path):
    assert read_effects("published", ["G", "N"], ["trust"])["trust"].means == {"G": 3.14, "N": 2.02}
    assert set(read_effects("none", ["x"], ["q"])["q"].means.values()) == {3.0}
    assert all_effects("published") is PUBLISHED
    path = tmp_path / "effects.yaml"
    path.write_text("trust: {means: {N: 2, G: 4}, sds: {N: 1, G: 1}, taste: 0.2}")
    assert read_effects(str(path), ["N", "G"], ["trust"])["trust"].taste == 0.2
    for model, question, message in (("M1", "trust", "the model 'M1'"), ("N", "fun", "the question 'fun'")):
        with pytest.raises(BadInput, match=message):
            read_effects("published", [model], [question])
    for text in ("[1]", "trust: {mean: 1}", "trust: 3"):
        path.write_text(text)
        with pytest.raises(BadInput, match="by question"):
            all_effects(str(path))
    with pytest.raises(BadInput, match="there is no file"):
        all_effects(str(tmp_path / "absent"))


def test_impossible_effects_are_refused():
    with pytest.raises(BadInput, match="no such ratings"):
        simulate_ratings(Effect({"N": 4.9}, {"N": 1.9}), (1, 2, 2), np.random.default_rng(0))
    with pytest.raises(BadInput, match="sum to at most 1"):
        Effect({"N": 3}, {"N": 1}, participant=0.9, image=0.2)
    with pytest.raises(BadInput, match="for every model"):
        Effect({"N": 3}, {"G": 1})
    with pytest.raises(BadInput, match="same models"):
        simulate_studies(
            {"a": Effect({"N": 3}, {"N": 1}), "b": Effect({"G": 3}, {"G": 1})},
            participants=2,
            images=1,
            repeats=1,
            seed=0,
        )
