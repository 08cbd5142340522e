"""N1–N6 and T1–T6: every verdict can be forced by the numbers, and follows from nothing else."""

from dataclasses import replace

import numpy as np
import pytest
from constructed import first, run, spread

from pellucid.report.further_relations import further_relations, overfitting_gap
from pellucid.report.relations import relations

SEEDS = range(3)


def arms(role, *, diffroar=None, train=None, **values):
    """One run a seed; what is given as a function gets the seed."""
    made = []
    for seed in SEEDS:
        at = {key: value(seed) if callable(value) else value for key, value in values.items()}
        one = run(role, seed=seed, **at)
        if diffroar is not None:
            one = replace(one, diffroar={"gradient": diffroar + 0.01 * seed})
        if train is not None:
            one = replace(one, measurement={**one.measurement, "train_accuracy": train + 0.001 * seed})
        made.append(one)
    return made


def wobbling(mean, by=0.01):
    return lambda seed: spread(mean + by * (seed - 1))


def verdicts(runs):
    return {one.key: one.verdict for one in further_relations(runs)}


def test_no_arm_of_theirs_no_relation_of_theirs():
    assert verdicts(arms("N") + arms("A")) == {}
    assert not any(one.key[0] in "NT" for one in relations(arms("N") + arms("A")))


@pytest.mark.parametrize(("gini", "verdict"), [(0.7, "holds"), (0.5, "within noise"), (0.3, "does not hold")])
def test_n1_is_the_gini_of_every_sparse_arm_above_natural(gini, verdict):
    runs = arms("N", gini=wobbling(0.5)) + arms("L1", gini=wobbling(0.8, -0.01)) + arms("EN", gini=wobbling(gini, 0.02))
    found = {one.key: one for one in relations(runs)}
    assert found["N1"].verdict == verdict
    assert [part.claim for part in found["N1"].parts] == ["L1 > N", "EN > N"]
    assert found["N2"].verdict == "not testable here"
    assert "GN" in found["N2"].reason


def test_n2_and_n3_ask_the_arm_that_promises_it():
    runs = arms("N", group_gini=wobbling(0.5), energy_inside=wobbling(0.5))
    runs += arms("GN", group_gini=wobbling(0.6, 0.02), energy_inside=wobbling(0.1))
    runs += arms("GZ", group_gini=wobbling(0.1), energy_inside=wobbling(0.4, 0.02))
    found = verdicts(runs)
    assert (found["N2"], found["N3"]) == ("holds", "does not hold")


def test_n4_needs_diffroar_and_shows_diffroad_beside_it():
    natural = arms("N", diffroar=0.1, diffroad=wobbling(0.1))
    better = arms("L1", diffroar=0.4, diffroad=wobbling(0.0, 0.02))
    better = [replace(one, diffroar={"gradient": 0.4 + 0.02 * seed}) for seed, one in enumerate(better)]
    found = {one.key: one for one in further_relations(natural + better)}["N4"]
    assert found.verdict == "holds"
    assert found.context[0].verdict == "does not hold"
    missing = {one.key: one for one in further_relations(arms("N") + arms("L1"))}["N4"]
    assert missing.verdict == "not testable here"
    assert missing.reason == "DiffROAR was not measured"


@pytest.mark.parametrize(("right", "verdict"), [(890, "holds"), (800, "does not hold")])
def test_n6_is_stability_and_at_most_two_points_of_accuracy(right, verdict):
    def levels(mean):
        return np.stack([spread(mean)] * 2, 1)

    natural = arms("N", ssim=lambda seed: levels(0.4 + 0.01 * seed), correct=lambda seed: first(900 + seed))
    stable = arms("L1", ssim=lambda _: levels(0.6), correct=lambda _: first(right))
    assert verdicts(natural + stable)["N6"] == verdict


@pytest.mark.parametrize(("curvature", "verdict"), [(0.5, "holds"), (0.8, "does not hold"), (0.7, "within noise")])
def test_t2_wants_thirty_percent(curvature, verdict):
    natural = arms("N", curvature=wobbling(1.0))
    aligned = arms("MA", curvature=lambda seed: spread(curvature * (1 + 0.03 * (seed - 1))))
    assert verdicts(natural + aligned)["T2"] == verdict


def test_t3_is_the_gap_between_training_and_test_accuracy_over_seeds():
    natural = arms("N", train=0.99, correct=lambda seed: first(900 + seed))
    aligned = arms("MA", train=0.92, correct=lambda seed: first(900))
    assert overfitting_gap(natural[0]) == pytest.approx(9.0)
    assert verdicts(natural + aligned)["T3"] == "holds"
    backwards = [replace(one, role="N", manifest={**one.manifest, "seed": 2 - one.seed}) for one in aligned]
    assert verdicts(aligned + backwards)["T3"] == "within noise"
    one_seed = verdicts(natural[:1] + aligned[:1])
    assert one_seed["T3"] == "not testable here"


def test_t6_is_tested_only_where_the_truth_is_known():
    def block(one):
        data = {**one.manifest["data"], "name": "block-fashion"}
        return replace(one, manifest={**one.manifest, "data": data})

    runs = arms("N", precision_at_truth=wobbling(0.5)) + arms("MA", precision_at_truth=wobbling(0.7, 0.02))
    assert verdicts(runs)["T6"] == "not testable here"
    assert verdicts([block(one) for one in runs])["T6"] == "holds"
    assert verdicts(runs)["T5"] == "not testable here"


@pytest.mark.parametrize(("turned", "verdict"), [(0.1, "holds"), (0.3, "within noise"), (0.5, "does not hold")])
def test_t5_is_the_dependence_on_wrong_labels(turned, verdict):
    runs = arms("N", outlier_dependence=wobbling(0.3)) + arms("MA", outlier_dependence=wobbling(turned, -0.02))
    assert verdicts(runs)["T5"] == verdict


@pytest.mark.parametrize(("learnt", "verdict"), [(0.1, "holds"), (0.9, "does not hold")])
def test_t3_asks_for_less_memorisation_too_where_labels_are_wrong(learnt, verdict):
    def memorised(runs, share):
        wobbling = {one.seed: share * (1 + 0.02 * one.seed) for one in runs}
        return [replace(one, measurement={**one.measurement, "memorisation": wobbling[one.seed]}) for one in runs]

    natural = memorised(arms("N", train=0.99, correct=lambda _: first(800)), 0.5)
    aligned = memorised(arms("MA", train=0.85, correct=lambda seed: first(800 + seed)), learnt)
    found = {one.key: one for one in further_relations(natural + aligned)}["T3"]
    assert [part.claim for part in found.parts] == ["gap below N's", "memorisation below N's"]
    assert found.verdict == verdict
