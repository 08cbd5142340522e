import hashlib
import os
import threading

import pytest
from answer_rows import make_study

from pellucid.errors import BadInput
from pellucid.files import read_json, write_json
from pellucid.study.plan import PLAN, UNSEALED, Plan, digest, freeze, read_choices, read_plan


@pytest.fixture
def study(tmp_path):
    folder = tmp_path / "study"
    write_json(folder / "study.json", make_study(images=2).model_dump(by_alias=True, mode="json"))
    return folder


def test_the_default_plan_asks_all_questions_and_names_the_key(study):
    plan, sha = freeze(study, {})
    assert plan.questions == ("sufficiency", "trust", "choice")
    assert plan.key_sha256 == "0" * 64
    assert (plan.alpha, plan.contrasts, plan.exclusions.failed_checks) == (0.05, (), 0)
    assert read_plan(study) == (plan, sha)
    plain = read_json(study / PLAN)
    assert plain.pop("sha256") == sha == digest(plain)
    canonical = hashlib.sha256(b'{"a":[1],"b":1}').hexdigest()
    assert digest({"b": 1, "a": [1]}) == canonical


def test_the_same_choices_again_are_the_same_plan_and_others_are_refused(study):
    first = freeze(study, {"alpha": 0.01})
    before = (study / PLAN).read_bytes()
    assert freeze(study, {"alpha": 0.01}) == first
    with pytest.raises(BadInput, match="a frozen plan stays as it is"):
        freeze(study, {"alpha": 0.05})
    with pytest.raises(BadInput, match="a frozen plan stays as it is"):
        freeze(study, {"alpha": 0.01, "exclusions": {"failed_checks": 1}})
    assert (study / PLAN).read_bytes() == before


@pytest.mark.parametrize(
    "change", [{"alpha": 0.1}, {"frozen_at": "2020-01-01T00:00:00+00:00"}, {"contrasts": [["A", "N"]]}]
)
def test_a_plan_that_was_edited_is_not_read(study, change):
    freeze(study, {})
    plain = read_json(study / PLAN)
    (study / PLAN).chmod(0o644)
    write_json(study / PLAN, plain | change)
    with pytest.raises(BadInput, match="changed after it was frozen"):
        read_plan(study)
    with pytest.raises(BadInput, match="changed after it was frozen"):
        freeze(study, {})


def test_no_plan_and_damaged_plans_are_said(study):
    with pytest.raises(BadInput, match="pellucid study freeze"):
        read_plan(study)
    (study / PLAN).write_text("[]")
    with pytest.raises(BadInput, match="not an analysis plan"):
        read_plan(study)


def test_after_the_key_was_opened_no_plan_can_be_frozen(study):
    write_json(study / UNSEALED, {})
    with pytest.raises(BadInput, match="can no longer be frozen"):
        freeze(study, {})


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"alpha": 2}, "alpha"),
        ({"alhpa": 0.01}, "alhpa"),
        ({"correction": "none"}, "correction"),
        ({"exclusions": {"too_slow": 1}}, "too_slow"),
        ({"questions": ["sufficency"]}, "did you mean 'sufficiency'"),
        ({"contrasts": [["G", "G"]]}, "two different models"),
        ({"contrasts": [["G", "N"], ["N", "G"]]}, "each pair"),
    ],
)
def test_wrong_choices_are_refused_before_anything_is_written(study, choices, message):
    with pytest.raises(BadInput, match=message):
        freeze(study, choices)
    assert not (study / PLAN).exists()


def test_choices_come_from_yaml(tmp_path):
    path = tmp_path / "plan.yaml"
    path.write_text("alpha: 0.01\ncontrasts: [[G, A]]\nexclusions: {failed_checks: null}\n")
    found = read_choices(path)
    plan = Plan.model_validate(found | {"key_sha256": "", "frozen_at": "", "questions": ["trust"]})
    assert plan.contrasts == (("G", "A"),)
    assert plan.exclusions.failed_checks is None
    assert read_choices(None) == {}
    for text, message in (
        ("[1]", "keys of a plan"),
        ("a: [", "not valid YAML"),
        ("alpha: 0.01\nalpha: 0.05", "'alpha' stands twice"),
        ("frozen_at: x", "set when the plan is"),
    ):
        path.write_text(text)
        with pytest.raises(BadInput, match=message):
            read_choices(path)
    with pytest.raises(BadInput, match="cannot read"):
        read_choices(tmp_path / "absent.yaml")


def test_of_many_who_freeze_at_once_one_wins_and_the_file_is_whole(study):
    outcomes = []

    def attempt(number):
        try:
            outcomes.append(freeze(study, {"seed": number})[1])
        except BadInput:
            outcomes.append(None)

    threads = [threading.Thread(target=attempt, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winners = [sha for sha in outcomes if sha]
    assert winners == [read_plan(study)[1]]
    assert set(os.listdir(study)) == {"study.json", PLAN}
