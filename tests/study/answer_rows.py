"""Studies and answers made in memory, in the format of the export."""

import numpy as np

from pellucid.study.design import williams
from pellucid.study.effects import PUBLISHED, simulate_choices, simulate_ratings
from pellucid.study.plan import Exclusions, Plan
from pellucid.study.protocol import Study

MODELS = ("N", "A", "G")


def stimulus(image, model):
    return f"{0xABC0 + image:08x}{model * 7919 + 11:08x}"


def make_study(images=10, models=MODELS):
    rows = williams(len(models))
    return Study.model_validate(
        {
            "seed": 1,
            "conditions": len(models),
            "key_sha256": "0" * 64,
            "images": [
                {
                    "image": f"{image:016x}",
                    "class": "boat",
                    "orders": [[stimulus(image, k) for k in row] for row in rows],
                }
                for image in range(images)
            ],
        }
    )


def make_key(images=10, models=MODELS):
    return {stimulus(image, k): model for image in range(images) for k, model in enumerate(models)}


def make_plan(**choices):
    given = {"key_sha256": "0" * 64, "frozen_at": "2026-01-02T03:04:05+00:00", "resamples": 200}
    return Plan.model_validate(given | {"questions": ("sufficiency", "trust", "choice")} | choices)


LENIENT = Exclusions(unfinished=False, failed_checks=None, median_seconds=None, same_share=None, duplicates=False)


def rating(participant, image, model, question, value, **more):
    row = {"participant": participant, "block": "rating", "trial": 3 * image + model, "image": f"{image:016x}"}
    row |= {"stimulus": stimulus(image, model), "shown": "", "question": question, "value": str(value)}
    return row | {"expected": "", "reason": "", "milliseconds": 4000, "answered_at": "2026-01-03T00:00:00+00:00"} | more


def choice(participant, image, model, **more):
    row = rating(participant, image, model, "choice", 1)
    return row | {"block": "choice", "trial": 100 + image, "reason": "clear"} | more


def check(participant, value, expected="5"):
    row = rating(participant, 0, 0, "attention-1", value)
    return row | {"block": "attention", "trial": 7, "image": "", "stimulus": "", "expected": expected}


def person(name, **more):
    row = {"participant": name, "state": "finished", "cell": 0, "started_at": "2026-01-03T00:00:00+00:00"}
    return row | {"finished_at": "2026-01-03T01:00:00+00:00", "user_agent_class": "desktop"} | more


def from_arrays(ratings, chosen=None):
    """Rows of ratings {question: [participants, images, models]} (NaN = missing) and choices [participants, images]."""
    count = len(next(iter(ratings.values())))
    names = [f"P-{place:08x}" for place in range(count)]
    answers = [
        rating(names[p], i, m, question, int(value))
        for question, values in ratings.items()
        for (p, i, m), value in np.ndenumerate(np.asarray(values, dtype=float))
        if not np.isnan(value)
    ]
    if chosen is not None:
        answers += [choice(names[p], i, int(m)) for (p, i), m in np.ndenumerate(chosen)]
    return answers, [person(name) for name in names]


def simulated(effects=PUBLISHED, participants=65, images=10, seed=0):
    generator = np.random.default_rng(seed)
    shape = (1, participants, images)
    rated = {name: simulate_ratings(effect, shape, generator) for name, effect in effects.items()}
    chosen = simulate_choices(list(rated.values()), generator)[0]
    return from_arrays({name: values[0] for name, values in rated.items()}, chosen)
