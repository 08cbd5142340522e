"""The audit of definitions §4.8, recomputed."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from scipy import stats

from pellucid.errors import BadInput
from pellucid.statistics.paired_ranks import signed_rank
from pellucid.study.audit import T3S, anova_from_summary, audit, denominator_df, sentences, splits
from pellucid.study.effects import chances


@pytest.fixture(scope="module")
def found():
    return audit()


def test_f_and_p_tell_the_number_of_ratings(found):
    assert found["design"] == {"participants": 65, "images": 10, "ratings_per_model": 650, "df2": 1947}
    for one in found["questions"]:
        assert one["df2_from_f_and_p"] == pytest.approx(836.9, abs=0.05)
        assert (one["ratings_from_f_and_p"], one["per_model_from_f_and_p"]) == (840, 280)


def test_means_and_spreads_tell_another_number(found):
    sufficiency, trust = found["questions"]
    assert round(sufficiency["per_model_from_means_and_sds"]) == 398
    assert round(trust["per_model_from_means_and_sds"]) == 407
    assert {size: round(f) for size, f in sufficiency["f_from_means_and_sds"].items()} == {"650": 327, "280": 141}
    assert {size: round(f) for size, f in trust["f_from_means_and_sds"].items()} == {"650": 309, "280": 133}


def test_the_z_behind_each_p_and_which_are_out_of_order(found):
    z = [[round(row["z"], 2) for row in one["wilcoxon"]] for one in found["questions"]]
    assert z == [[13.36, 7.55, 10.79], [13.06, 6.64, 10.13]]
    for one in found["questions"]:
        assert one["out_of_order"] == [["G against N", "A against N"]]
    close = found["questions"][1]["wilcoxon"][1]
    assert close["mean_difference"] == pytest.approx(0.06)
    assert 1 < close["z_if_uncorrelated"] < 1.3 < close["z"]


def test_no_split_of_65_votes_rounds_to_the_shares(found):
    assert found["shares"]["possible"] == {"65": 0, "280": 7, "650": 30}


@pytest.mark.parametrize(
    ("per_cent", "n"), [((58, 27, 15), 65), ((33, 33, 33), 3), ((50, 50), 7), ((40, 60), 5), ((58, 27, 15), 100)]
)
def test_splits_are_counted_one_by_one(per_cent, n):
    every = [split for split in product(range(n + 1), repeat=len(per_cent)) if sum(split) == n]
    fits = [all(abs(100 * k / n - share) <= 0.5 for k, share in zip(split, per_cent, strict=True)) for split in every]
    assert splits(per_cent, n) == sum(fits)


def test_the_denominator_is_the_one_of_the_f_distribution_and_of_the_closed_form():
    for f, df1, df2 in ((200.0, 2, 837), (4.0, 3, 20), (0.7, 2, 50)):
        p = stats.f.sf(f, df1, df2)
        assert denominator_df(f, p, df1) == pytest.approx(df2, rel=1e-6)
    m = denominator_df(200.38, 7.82e-72, 2)
    assert -m / 2 * np.log1p(2 * 200.38 / m) == pytest.approx(np.log(7.82e-72), rel=1e-9)
    with pytest.raises(BadInput, match="do not belong together"):
        denominator_df(200.0, 0.5, 2)


def test_f_from_a_summary_is_the_anova_of_data_with_that_summary():
    values = np.random.default_rng(0).normal([[1.0], [2.0], [2.5]], [[1.0], [2.0], [0.5]], (3, 40))
    expected = stats.f_oneway(*values).statistic
    assert anova_from_summary(values.mean(1).tolist(), values.std(1, ddof=1).tolist(), 40) == pytest.approx(expected)


def test_the_uncorrelated_z_is_that_of_drawn_pairs(found):
    row = found["questions"][0]["wilcoxon"][1]  # G against A
    generator = np.random.default_rng(1)
    one, two = (generator.choice(5, 650_000, p=chances(*moments)) for moments in ((3.33, 1.03), (2.99, 0.93)))
    assert signed_rank(one - two).z / np.sqrt(1000) == pytest.approx(row["z_if_uncorrelated"], rel=0.02)


def test_nothing_is_typed_in():
    other = audit(replace(T3S, participants=100, shares=(50, 30, 20)))
    assert other["design"]["ratings_per_model"] == 1000
    assert other["shares"]["possible"]["100"] == 1
    doubled = replace(T3S.questions[0], f=2 * T3S.questions[0].f)
    assert audit(replace(T3S, questions=(doubled,)))["questions"][0]["df2_from_f_and_p"] < 500


def test_the_sentences_say_it(found):
    text = "\n".join(sentences(found))
    for part in (
        "df2 = 836.9, 840 ratings, 280 a model",
        "n = 398",
        "n = 407",
        "|z| = 6.64",
        "no split of 65 votes rounds",
    ):
        assert part in text
