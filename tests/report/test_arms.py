"""Runs become arms, and an arm's numbers speak of seeds and images."""

from dataclasses import replace

import numpy as np
import pytest
from constructed import IMAGES, first, run, seeds_of, spread

from pellucid.report import measures
from pellucid.report.arms import arms_of, estimate, in_arms, representatives, runs_of, seed_values, table, values_by_arm
from pellucid.report.contents import clean_table, trade_off_table
from pellucid.report.contrasts import Difference, between
from pellucid.report.facts import config_differences
from pellucid.report.results import measure_row
from pellucid.report.tables import to_csv, to_html, to_latex, to_markdown
from pellucid.statistics import hierarchical, student

GINI = measures.column("gradient", "gini", "Gini", direction="↑")
WOBBLE = [-0.02, 0.01, 0.0, 0.02, -0.01]


def arm(name, mean, *, wobble=WOBBLE, sd=0.05, **config):
    return seeds_of(name, [{"gini": spread(mean + by, sd)} for by in wobble], **config)


def three_arms():
    close = [-0.019, 0.012, 0.0, 0.019, -0.012]
    runs = [*arm("N", 0.5), *arm("A", 0.7, wobble=WOBBLE[::-1]), *arm("G", 0.702, wobble=close)]
    return arms_of(runs)


def test_runs_of_one_recipe_are_one_arm_in_the_order_of_their_seeds():
    runs = [*arm("N", 0.5), *reversed(arm("A", 0.7))]
    found = arms_of(runs)
    assert [(one.name, [run.seed for run in one.runs]) for one in found] == [
        ("N", list(range(5))),
        ("A", list(range(5))),
    ]
    assert in_arms(runs)
    assert runs_of(found) == [*runs[:5], *runs[:4:-1]]
    assert [one.name for one in representatives(found)] == ["N", "A"]
    assert [one.seed for one in representatives(found)] == [0, 0]


def test_plain_runs_are_no_arms():
    assert not in_arms([run("N", gini=spread(0.5)), run("A", gini=spread(0.6))])
    assert in_arms([run("A", seed=seed, gini=spread(0.5)) for seed in range(3)])  # whether or not a config names it
    assert not in_arms([arm("N", 0.5)[0], arm("A", 0.6)[0]])  # one seed each


def test_recipes_that_share_a_role_say_what_sets_them_apart():
    runs = arm("A", 0.7, training={"epochs": 6}) + arm("A", 0.71, training={"epochs": 12})
    assert [one.name for one in arms_of(runs)] == ["A (training.epochs 6)", "A (training.epochs 12)"]


def test_an_arm_is_the_hierarchical_mean_of_its_runs():
    (found,) = arms_of(arm("A", 0.7))
    expected = hierarchical([one.attributions["gradient"].values["gini"] for one in found.runs])
    assert estimate(GINI, found) == expected
    assert estimate(GINI, found.runs[0]) == measures.estimate(GINI, found.runs[0])
    assert seed_values(GINI, found) == pytest.approx([0.7 + by for by in WOBBLE])
    assert estimate(measures.column("gradient", "ssim", "SSIM"), found) is None
    percent = seed_values(measures.natural_accuracy(), found)
    assert percent == pytest.approx([90.0] * 5)


def test_images_are_matched_by_their_ids():
    one, two = arm("A", 0.7)[:2]
    values = np.arange(IMAGES, dtype=float)
    object.__setattr__(one.attributions["gradient"], "values", {"gini": values})
    object.__setattr__(two.attributions["gradient"], "values", {"gini": values[::-1].copy()})
    object.__setattr__(two.attributions["gradient"], "ids", np.arange(IMAGES)[::-1].copy() + 1)
    found = table(GINI, [one, two])
    assert found.shape == (2, IMAGES + 1)
    np.testing.assert_array_equal(found[0, 1:-1] - found[1, 1:-1], np.ones(IMAGES - 1))
    assert np.isnan(found[0, -1])
    assert np.isnan(found[1, 0])


def test_what_no_run_was_measured_on_is_not_undefined():
    few, hole = spread(0.5), spread(0.5)
    few[10:] = hole[9:] = np.nan
    arms = arms_of(seeds_of("A", [{"gini": few}, {"gini": hole}]) + seeds_of("G", [{"gini": few}] * 2))
    assert {name: values.shape for name, values in values_by_arm(GINI, arms).items()} == {"A": (2, 10), "G": (2, 10)}
    cells = measure_row(arms, GINI, group="").cells
    assert [cell.undefined for cell in cells] == [0.05, 0.0]
    assert [(cell.n, cell.dropped, cell.seeds) for cell in cells] == [(10, 1, 2), (10, 0, 2)]


def test_arms_are_paired_by_seed_and_runs_by_image():
    one, two, _ = three_arms()
    gap = between(two, one, GINI)
    expected = student([0.2 + a - b for a, b in zip(WOBBLE[::-1], WOBBLE, strict=True)])
    assert (gap.estimate.value, gap.estimate.low) == pytest.approx((expected.value, expected.low))
    assert (gap.seeds, gap.images) == (5, IMAGES)
    assert gap.gaps == pytest.approx([0.2 + a - b for a, b in zip(WOBBLE[::-1], WOBBLE, strict=True)])
    single = between(two.runs[0], one.runs[1], GINI)
    assert (single.seeds, single.gaps) == (1, ())
    assert single.estimate == measures.difference(GINI, two.runs[0], one.runs[1])
    alone = replace(one, runs=one.runs[:2])
    assert between(two, alone, GINI).seeds == 2
    assert between(replace(two, runs=two.runs[3:]), alone, GINI) == "no A and N share a seed"


def test_limits_are_told_where_the_seeds_show_nothing():
    one, two, three = three_arms()
    near, far = between(three, two, GINI), between(two, one, GINI)
    assert isinstance(near, Difference)
    assert near.limits(3).startswith("detectable: 0.0")
    assert "equal within ±0.0" in near.limits(3)
    assert far.limits(3) == ""
    assert between(two.runs[0], one.runs[0], GINI).limits(3) == ""


def test_the_best_is_bold_and_what_is_not_worse_is_tied():
    arms = three_arms()
    found = measure_row(arms, GINI, group="")
    assert [(cell.best, cell.tied) for cell in found.cells] == [(False, False), (False, True), (True, False)]
    lower = replace(GINI, direction="↓")
    assert [(cell.best, cell.tied) for cell in measure_row(arms, lower, group="").cells] == [(True, False)] + 2 * [
        (False, False)
    ]
    neither = measure_row(arms, replace(GINI, direction=""), group="")
    assert not any(cell.best or cell.tied for cell in neither.cells)
    alike = arms_of(arm("N", 0.5) + arm("A", 0.5))
    assert not any(cell.best or cell.tied for cell in measure_row(alike, GINI, group="").cells)


def test_one_seed_beside_several_is_shown_without_an_interval_and_is_never_shown_to_be_worse():
    arms = arms_of(arm("N", 0.5) + arm("A", 0.7)[:1])
    cells = measure_row(arms, GINI, group="").cells
    assert np.isnan(cells[1].low)
    assert (cells[0].tied, cells[1].best) == (True, True)


def test_every_format_shows_marks_seeds_and_shares():
    arms = three_arms()
    found = clean_table(arms)
    assert found.columns == ("N", "A", "G")
    assert found.over_seeds
    text = to_markdown(found)
    assert "100 × 5" in text
    assert "| **0.702 [" in text
    assert "] † |" in text
    assert "†: not shown to be worse than the best" in text
    tex = to_latex(found)
    assert r"] $^{\dagger}$ &" in tex
    assert r"100 $\times$ 5" in tex
    page = str(to_html(found))
    assert page.count('class="tied"') == 1  # the accuracies are all equal: nobody is best, nobody tied
    assert "n × seeds" in page
    lines = to_csv(found).splitlines()
    assert lines[0].endswith("best,legacy,tied,seeds,undefined")
    assert next(line for line in lines if ",gini,A," in line).endswith("0,0,1,5,0.0")
    assert trade_off_table(arms).columns == ("N", "A", "G")


def test_accuracy_of_arms_is_shown_in_percent():
    runs = seeds_of("A", [{"gini": spread(0.5), "correct": first(count)} for count in (800, 810, 820)])
    cell = measure_row(arms_of(runs), measures.natural_accuracy(), group="").cells[0]
    assert cell.value == pytest.approx(81)
    assert 70 < cell.low < 80
    assert 82 < cell.high < 90


def test_an_interval_of_a_share_stays_where_a_share_can_be():
    (two,) = arms_of(seeds_of("A", [{"gini": spread(0.5), "correct": first(count)} for count in (900, 990)]))
    found = estimate(measures.natural_accuracy(), two)
    assert 0 <= found.low < 0.9
    assert found.high == 1


def test_where_the_files_lie_is_not_the_recipe():
    here, there = seeds_of("A", [{"gini": spread(0.5)}, {"gini": spread(0.6)}])
    moved = replace(there, config=there.config | {"data": {"root": "/elsewhere"}, "model": {"weights": "b.pt"}})
    assert len(arms_of([here, moved])) == 1


def test_a_run_of_an_older_version_that_lacks_what_is_off_belongs_to_its_arm():
    older, newer = seeds_of("A", [{"gini": spread(0.5)}, {"gini": spread(0.6)}])
    unused = {"snapshots": 0, "freeze": [], "ema": None, "eps_warm_up": 0.0}
    newer = replace(newer, config=newer.config | {"later": unused})
    (found,) = arms_of([older, newer])
    assert found.name == "A"
    assert [fact.label for fact in config_differences([older, newer])] == ["seed"]
    on = replace(newer, config=newer.config | {"later": unused | {"snapshots": 3}})
    assert [one.name for one in arms_of([older, on])] == ["A (later.snapshots –)", "A (later.snapshots 3)"]
