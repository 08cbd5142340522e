"""Orders: balanced for place and carry-over, cells even, every stimulus once."""

import random
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_study import build_tiny

from pellucid.study.design import Trial, even_rows, least_filled, trials_of, williams

ONCE = range(2, 10)


@pytest.mark.parametrize("conditions", ONCE)
def test_every_condition_stands_equally_often_in_every_place(conditions):
    rows = williams(conditions)
    assert len(rows) == conditions * (1 + conditions % 2)
    for place in range(conditions):
        assert Counter(row[place] for row in rows) == dict.fromkeys(range(conditions), len(rows) // conditions)


@pytest.mark.parametrize("conditions", ONCE)
def test_every_condition_follows_every_other_one_equally_often(conditions):
    rows = williams(conditions)
    following = Counter(pair for row in rows for pair in pairwise(row))
    others = conditions * (conditions - 1)
    assert len(following) == others
    assert set(following.values()) == {len(rows) * (conditions - 1) // others}


def test_two_conditions_are_shown_both_ways():
    assert williams(2) == [[0, 1], [1, 0]]
    assert sorted(williams(3)) == [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]


@given(st.integers(2, 5), st.integers(1, 6), st.integers(0, 10))
def test_every_image_has_a_whole_williams_design(conditions, images, seed):
    for rows in even_rows(images, conditions, random.Random(seed)):
        following = Counter(pair for row in rows for pair in pairwise(row))
        assert len(rows) == len(williams(conditions))
        assert len(set(following.values())) == 1
        assert len(following) == conditions * (conditions - 1)


def test_inside_a_cell_every_model_stands_about_equally_often_in_every_place():
    table = even_rows(10, 3, random.Random(0))
    counts = Counter((cell, place, m) for rows in table for cell, row in enumerate(rows) for place, m in enumerate(row))
    assert len(counts) == 6 * 3 * 3
    assert min(counts.values()) >= 1
    assert sum(abs(count - 10 / 3) for count in counts.values()) / len(counts) < 1.2  # 1.25 without choosing


def test_rows_do_not_tell_which_stimuli_belong_together():
    """The same model is called by every number: over many studies an image's first entry is any of them."""
    firsts = Counter(even_rows(2, 3, random.Random(seed))[1][0][0] for seed in range(90))
    assert set(firsts) == {0, 1, 2}
    assert min(firsts.values()) > 10


@given(st.lists(st.sampled_from(["finish", "vanish"]), min_size=1, max_size=120), st.integers(2, 8))
def test_cells_differ_by_at_most_one_finished_session_when_the_vanished_are_known(ends, cells):
    filled = Counter()
    for end in ends:
        cell = least_filled(filled, {}, cells)
        filled[cell] += end == "finish"
    counts = [filled[cell] for cell in range(cells)]
    assert max(counts) - min(counts) <= 1


@given(st.integers(1, 60), st.integers(2, 8))
def test_sessions_under_way_are_spread_before_any_is_finished(people, cells):
    running = Counter()
    for _ in range(people):
        running[least_filled({}, running, cells)] += 1
    assert max(running.values()) - min(running[cell] for cell in range(cells)) <= 1


def test_the_cell_with_the_fewest_finished_is_filled_first():
    assert least_filled({0: 3, 1: 2, 2: 3}, {}, 3) == 1
    assert least_filled({0: 3, 1: 2, 2: 3}, {1: 2}, 3) == 0
    assert least_filled({0: 1}, {1: 1}, 2) == 0  # as full, but certain


@pytest.fixture(scope="module")
def larger(tmp_path_factory):
    return build_tiny(tmp_path_factory.mktemp("larger") / "study", images=5, practice=2)


@given(cell=st.integers(0, 5), seed=st.text(max_size=5))
def test_everybody_rates_every_stimulus_once_and_never_an_image_twice_in_a_row(larger, cell, seed):
    trials = trials_of(larger, cell, seed=seed)
    rated = [trial for trial in trials if trial.block == "rating"]
    assert sorted(trial.shown[0] for trial in rated) == sorted(s for item in larger.images for s in item.orders[0])
    assert all(first.image != second.image for first, second in pairwise(rated))
    for number in range(3):  # rounds
        assert len({trial.image for trial in rated[5 * number : 5 * number + 5]}) == 5
    for item in larger.images:
        assert tuple(trial.shown[0] for trial in rated if trial.image == item.image) == item.orders[cell]


@given(cell=st.integers(0, 5), seed=st.text(max_size=5))
def test_blocks_come_in_their_order_with_the_checks_between_ratings(larger, cell, seed):
    trials = trials_of(larger, cell, seed=seed)
    blocks = [trial.block for trial in trials]
    assert blocks[:2] == ["training", "training"]
    assert blocks[-5:] == ["choice"] * 5
    middle = blocks[2:-5]
    assert Counter(middle) == {"rating": 15, "attention": 2}
    assert middle[0] == "rating"
    first, second = (place for place, block in enumerate(middle) if block == "attention")
    assert first <= 8 <= second
    assert [trial.expected for trial in trials if trial.block == "attention"] == [2, 5]


def test_choices_show_all_stimuli_of_an_image_in_another_order_than_they_were_rated(larger):
    for cell in range(6):
        for trial in trials_of(larger, cell, seed="x"):
            if trial.block == "choice":
                (item,) = (item for item in larger.images if item.image == trial.image)
                assert trial.shown == item.orders[(cell + 1) % 6] != item.orders[cell]


def test_places_on_the_screen_are_even_over_the_cells(larger):
    shown = Counter()
    for cell in range(6):
        for trial in trials_of(larger, cell, seed=str(cell)):
            if trial.block == "choice":
                shown.update((name, place) for place, name in enumerate(trial.shown))
    assert set(shown.values()) == {2}


def test_the_order_follows_the_seed(larger):
    assert trials_of(larger, 0, seed="a") == trials_of(larger, 0, seed="a") != trials_of(larger, 0, seed="b")


def test_more_checks_than_ratings_still_come(tmp_path):
    checks = [{"id": f"check-{n}", "text": "Agree", "expected": 4} for n in range(5)]
    study = build_tiny(tmp_path / "s", images=1, models=("N", "A"), practice=0, attention=checks)
    assert Counter(trial.block for trial in trials_of(study, 1, seed="")) == {"rating": 2, "attention": 5, "choice": 1}


def test_a_trial_survives_storage():
    trial = Trial(block="choice", image="a", shown=("b", "c"))
    assert Trial.model_validate(trial.model_dump(mode="json")) == trial
