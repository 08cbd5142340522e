import random

from answer_rows import make_key, make_study, stimulus

from pellucid.study.effects import PUBLISHED
from pellucid.study.people import simulate_people
from pellucid.study.simulate import Asked


def asked(person, block, *, rated="", shown=(), questions=("trust",)):
    return Asked(person, 0, block, "", rated, shown, questions)


def test_everybody_answers_what_they_think():
    people = simulate_people(make_study(images=4), make_key(4), PUBLISHED, people=6, seed=1)
    unused = random.Random(0)
    for person in range(6):
        for image in range(4):
            for model in range(3):
                given = people.answer(
                    asked(person, "rating", rated=stimulus(image, model), questions=("sufficiency", "trust")), unused
                )
                assert given == {name: people.rated[name][person, image, model] for name in ("sufficiency", "trust")}
            order = random.Random(person).sample(range(3), 3)
            shown = tuple(stimulus(image, model) for model in order)
            place = people.answer(asked(person, "choice", shown=shown), unused)["choice"]
            assert order[place - 1] == people.preferred[person, image]
    assert len(set(people.preferred.ravel().tolist())) > 1


def test_checks_are_passed_and_practice_is_answered_in_the_middle():
    people = simulate_people(make_study(images=2), make_key(2), PUBLISHED, people=2, seed=1)
    assert people.answer(asked(0, "attention", questions=("check-1",)), random.Random(0)) == {"check-1": 2}
    assert people.answer(asked(0, "training", rated="f" * 16), random.Random(0)) == {"trust": 3}
