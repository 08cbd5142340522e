"""P1–P4: a preset must beat both rivals on everything at once, after Holm's correction, and keep its accuracy."""

from dataclasses import replace

import numpy as np
import pytest
from constructed import first, road, run, spread

from pellucid.report.relations import relations

SEEDS = range(5)
GOOD = {"gini": 0.8, "ssim": 0.8, "ros": 30.0, "kept": 8}
RIVAL = {"gini": 0.7, "ssim": 0.6, "ros": 90.0, "kept": 10}


def arm(role, *, natural=800, robust=600, wobble=0.002, **numbers):
    wanted = (GOOD if role.startswith("P") else RIVAL) | numbers
    runs = []
    for seed in SEEDS:
        by = wobble * ((seed * 3) % 5 - 2) * (1 if role.startswith("P") else -1)
        runs.append(
            run(
                role,
                seed=seed,
                correct=first(natural + round(1000 * by)),
                robust=first(robust + round(1000 * by)),
                gini=spread(wanted["gini"] + by),
                ssim=np.stack([spread(wanted["ssim"] + by)] * 2, 1),
                ros_norm=spread(wanted["ros"] * (1 + by)),
                road=road(wanted["kept"] + 100 * by),
            )
        )
    return runs


def found(*arms):
    return {one.key: one for one in relations([one for runs in arms for one in runs])}


def test_no_preset_no_claim_about_it():
    assert not {"P1", "P2"} & found(arm("A"), arm("G")).keys()


def test_a_preset_that_beats_both_rivals_on_everything_holds():
    verdict = found(arm("A"), arm("G"), arm("P"))["P2"]
    assert verdict.verdict == "holds"
    assert len(verdict.parts) == 2 + 4 * 2
    assert all("Holm p = " in part.claim for part in verdict.parts[2:])


@pytest.mark.parametrize(
    ("worse", "verdict"),
    [
        ({"gini": 0.7}, "within noise"),
        ({"gini": 0.6}, "does not hold"),
        ({"ssim": 0.5}, "does not hold"),
        ({"ros": 150.0}, "does not hold"),
        ({"kept": 12}, "does not hold"),
        ({"natural": 780}, "does not hold"),
        ({"robust": 580}, "does not hold"),
        ({"natural": 798, "robust": 599}, "holds"),
    ],
)
def test_one_weak_point_is_enough_to_fail(worse, verdict):
    assert found(arm("A"), arm("G"), arm("P", **worse))["P2"].verdict == verdict


def test_the_natural_preset_is_held_to_natural_accuracy():
    rivals = arm("A"), arm("G")
    assert found(arm("N", natural=797), *rivals, arm("PN"))["P1"].verdict == "holds"
    assert found(arm("N", natural=850), *rivals, arm("PN"))["P1"].verdict == "does not hold"
    assert found(*rivals, arm("PN"))["P1"].verdict == "not testable here"


def test_what_was_not_measured_is_not_claimed():
    verdict = found(arm("A"), arm("G"), arm("P"))["P4"]
    assert verdict.verdict == "not testable here"


def test_retraining_and_the_known_truth_count_where_they_were_measured():
    def retrained(runs, value):
        wobbling = {one.seed: value + 0.001 * (one.seed * int(10 * value) % 5) for one in runs}
        return [replace(one, diffroar={"gradient": wobbling[one.seed]}) for one in runs]

    better = found(retrained(arm("A"), 0.1), retrained(arm("G"), 0.1), retrained(arm("P"), 0.3))["P4"]
    assert better.verdict == "holds"
    assert [part.claim for part in better.parts] == [
        f"DiffROAR: P better than {rival}, Holm p = 0.000" for rival in ("A", "G")
    ]
    equal = found(retrained(arm("A"), 0.1), retrained(arm("G"), 0.3), retrained(arm("P"), 0.2))["P4"]
    assert equal.verdict == "does not hold"
    partly = found(arm("A"), retrained(arm("G"), 0.1), retrained(arm("P"), 0.3))["P4"]
    assert partly.verdict == "not testable here"
