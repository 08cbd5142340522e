import pytest
from answer_rows import LENIENT, check, person, rating

from pellucid.study.exclusions import Excluded, exclude
from pellucid.study.plan import Exclusions


def only(**rule):
    return LENIENT.model_copy(update=rule)


def ratings(name, values, seconds=4.0):
    return [rating(name, k // 3, k % 3, "trust", value, milliseconds=1000 * seconds) for k, value in enumerate(values)]


def test_nobody_is_left_out_without_rules():
    answers = [*ratings("a", [3] * 9, seconds=0.01), check("a", 1)]
    assert exclude(answers, [person("a", state="open")], LENIENT) == []


def test_who_asked_to_be_forgotten_is_always_left_out():
    assert exclude([], [person("a", state="forgotten")], LENIENT)[0].rule == "forgotten"


def test_who_did_not_finish():
    people = [person("a"), person("b", state="open")]
    assert exclude([], people, only(unfinished=True)) == [Excluded("b", "unfinished", "did not finish")]


@pytest.mark.parametrize(("limit", "out"), [(0, ["b", "c"]), (1, ["c"]), (2, [])])
def test_attention_checks_are_counted(limit, out):
    answers = [check("a", 5), check("a", 5), check("b", 5), check("b", 4), check("c", 1), check("c", "2")]
    ledger = exclude(answers, [person(name) for name in "abc"], only(failed_checks=limit))
    assert [one.participant for one in ledger] == out
    if ledger:
        assert ledger[-1].why == "failed 2 of 2 attention checks"


def test_a_check_without_a_known_answer_is_not_failed_and_numbers_equal_their_text():
    answers = [check("a", 4, expected=""), check("a", 5, expected=5), check("a", "5", expected=5)]
    assert exclude(answers, [person("a")], only(failed_checks=0)) == []


def test_time_is_the_median_over_trials_of_their_last_answer():
    slow_once = ratings("a", [1, 2, 3], 1.0)
    slow_once[2]["milliseconds"] = 90_000
    assert exclude(slow_once, [person("a")], only(median_seconds=1.5))[0].why == "median of 1.00 s on a rated stimulus"
    both = ratings("b", [1, 2], 0.5) + [
        row | {"question": "sufficiency", "milliseconds": 3000} for row in ratings("b", [1, 2])
    ]
    assert exclude(both, [person("b")], only(median_seconds=1.5)) == []
    unknown = [row | {"milliseconds": ""} for row in ratings("c", [1, 2])]
    assert exclude(unknown, [person("c")], only(median_seconds=1.5)) == []


@pytest.mark.parametrize(("share", "left_out"), [(1.0, False), (0.9, True), (0.91, False), (None, False)])
def test_straight_lining_is_a_share_of_the_ratings(share, left_out):
    answers = ratings("a", [3] * 9 + [4])
    assert bool(exclude(answers, [person("a")], only(same_share=share))) == left_out


def test_identical_ratings_are_straight_lining_but_one_rating_is_not():
    assert exclude(ratings("a", [3, 3]), [person("a")], only(same_share=1.0))[0].why == "100% of 2 ratings are the same"
    assert exclude(ratings("a", [3]), [person("a")], only(same_share=1.0)) == []


def test_of_two_with_one_external_id_the_first_who_finished_stays():
    people = [
        person("late", external_id="x", started_at="2026-01-05"),
        person("open", external_id="x", started_at="2026-01-01", state="open"),
        person("early", external_id="x", started_at="2026-01-02"),
        person("other", external_id="y"),
        person("none", external_id=""),
        person("none too"),
    ]
    found = exclude([], people, only(duplicates=True))
    assert [one.participant for one in found] == ["late", "open"]
    assert {one.rule for one in found} == {"duplicates"}


def test_each_is_listed_once_with_the_first_rule():
    answers = [*ratings("a", [3] * 9, 0.1), check("a", 1)]
    found = exclude(answers, [person("a", state="open")], Exclusions())
    assert [one.rule for one in found] == ["unfinished"]
