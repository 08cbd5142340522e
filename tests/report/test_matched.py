"""Arms at equal terms: which snapshot stands for a run, and who is left out."""

from dataclasses import replace

import pytest
from constructed import first, run, spread

from pellucid.report.arms import arms_of
from pellucid.report.matched import matched, passes


def trained(arm, seed, *, each, curve):
    """A run of four epochs of ten steps; `curve` is its natural accuracy (‰) and Gini at the epochs it kept."""

    def at(epoch, correct, gini):
        one = run(arm, seed=seed, correct=first(correct), gini=spread(gini + 0.001 * seed, 0.01))
        manifest = one.manifest | {"cost": {"passes_per_image": each}}
        kept = {} if epoch == 4 else {"snapshot": {"epoch": epoch}}
        config = {**one.config, "arm": arm, "seed": seed, "training": {"batch_size": 100}}
        return replace(one, manifest=manifest | kept, config=config, history=({"step": 10 * epoch},))

    *early, last = [at(epoch, *values) for epoch, values in curve.items()]
    return replace(last, snapshots=tuple(early))


def arms(**by_name):
    return arms_of([trained(name, seed, **options) for name, options in by_name.items() for seed in (0, 1, 2)])


CHEAP = {"each": 1, "curve": {1: (700, 0.5), 2: (750, 0.52), 3: (850, 0.54), 4: (860, 0.55)}}
DEAR = {"each": 4, "curve": {1: (600, 0.6), 2: (700, 0.65), 3: (740, 0.68), 4: (760, 0.7)}}


def test_cost_counts_passes_and_not_seconds():
    assert passes(trained("A", 0, **DEAR)) == 4 * 100 * 40
    assert passes(trained("A", 0, **DEAR).snapshots[0]) == 4 * 100 * 10


def test_at_matched_cost_the_dearest_snapshot_within_the_budget_stands_for_its_run():
    at_cost, _ = matched(arms(N=CHEAP, A=DEAR))
    assert at_cost.name == "matched-cost"
    chosen = {arm.name: [run.history[-1]["step"] for run in arm.runs] for arm in at_cost.arms}
    assert chosen == {"N": [40] * 3, "A": [10] * 3}
    assert at_cost.notes == ("N: the end of training.", "A: epoch 1.")


def test_at_matched_accuracy_the_nearest_snapshot_to_what_all_reach():
    _, at_accuracy = matched(arms(N=CHEAP, A=DEAR))
    chosen = {arm.name: [run.history[-1]["step"] for run in arm.runs] for arm in at_accuracy.arms}
    assert "76.0 %" in at_accuracy.title
    assert chosen == {"N": [20] * 3, "A": [40] * 3}


def test_an_arm_without_a_snapshot_that_close_is_left_out_and_two_are_needed():
    hasty = {"each": 1, "curve": {3: (850, 0.54), 4: (860, 0.55)}}
    found = matched(arms(N=hasty, A=DEAR))
    assert [len(one.arms) for one in found] == [2, 0]
    assert "no two arms can be compared" in found[1].notes[-1]
    with_third = matched(arms(N=hasty, A=DEAR, B=DEAR))
    at_accuracy = with_third[1]
    assert [arm.name for arm in at_accuracy.arms] == ["A", "B"]
    assert at_accuracy.notes[0] == "N is left out: no snapshot is so close."


def test_the_numbers_are_those_of_the_chosen_runs_and_paired_by_seed():
    at_cost, _ = matched(arms(N=CHEAP, A=DEAR, B=DEAR))
    rows = {row.key: [cell.value for cell in row.cells] for row in at_cost.table.rows}
    assert rows["gini"] == pytest.approx([0.551, 0.601, 0.601])
    gini = next(one for one in at_cost.comparisons if one.measure.key == "gini")
    assert (gini.difference.first, gini.difference.second) == ("A", "N")
    assert gini.difference.estimate.value == pytest.approx(0.05)
    assert gini.difference.seeds == 3


def test_without_snapshots_there_is_nothing_to_match():
    bare = {"each": 1, "curve": {4: (860, 0.55)}}
    assert matched(arms(N=bare, A=bare)) == []
