"""Every pair of arms: the paired t-test over seeds with Holm and Benjamini–Hochberg, and what the seeds could show."""

from dataclasses import astuple

import numpy as np
import pytest
from constructed import IMAGES, run, seeds_of, spread
from scipy import stats

from pellucid.report import measures
from pellucid.report.arms import arms_of
from pellucid.report.comparisons import compare, noise_floors, not_worse, with_discovery
from pellucid.report.grid_sheets import comparison_numbers, comparison_sheet, verdict
from pellucid.report.sheets import sheet_csv, sheet_markdown
from pellucid.statistics import detectable_difference, equal_within, hierarchical_difference, holm
from pellucid.statistics.ring import ring_pseudovalues

GINI = measures.column("gradient", "gini", "Gini", direction="↑")
MEANS = {
    "N": [0.50, 0.52, 0.49, 0.51, 0.50],
    "A": [0.60, 0.64, 0.61, 0.60, 0.63],
    "I": [0.61, 0.63, 0.62, 0.60, 0.62],
}


def arms():
    return arms_of(
        [one for name, means in MEANS.items() for one in seeds_of(name, [{"gini": spread(m)} for m in means])]
    )


def test_every_pair_is_scipy_s_paired_test_adjusted_for_their_number():
    found = compare(arms(), GINI)
    assert [(one.difference.first, one.difference.second) for one in found] == [("A", "N"), ("I", "N"), ("I", "A")]
    plain = [stats.ttest_rel(MEANS[a], MEANS[b]).pvalue for a, b in (("A", "N"), ("I", "N"), ("I", "A"))]
    assert [one.test.p for one in found] == pytest.approx(plain)
    assert [one.holm for one in found] == pytest.approx(holm(plain))
    assert [one.clear for one in found] == [True, True, False]
    assert (
        [one.leader for one in found] == ["A", "I", "A"]
        if np.mean(MEANS["A"]) > np.mean(MEANS["I"])
        else ["A", "I", "I"]
    )
    gaps = np.subtract(MEANS["A"], MEANS["N"])
    assert found[0].detectable == pytest.approx(detectable_difference(gaps.std(ddof=1), seeds=5))
    assert found[0].equal_within == pytest.approx(equal_within(gaps))


def test_lower_is_better_turns_the_leader():
    lower = measures.column("gradient", "gini", "Gini", direction="↓")
    assert [one.leader for one in compare(arms(), lower)][:2] == ["N", "N"]
    neither = measures.column("gradient", "gini", "Gini")
    assert {one.leader for one in compare(arms(), neither)} == {None}


def test_false_discoveries_are_counted_over_all_measures():
    found = with_discovery(compare(arms(), GINI) * 2)
    plain = [one.test.p for one in found]
    assert [one.discovery for one in found] == pytest.approx(stats.false_discovery_control(plain))
    assert np.isnan(compare(arms(), GINI)[0].discovery)


def test_not_worse_is_whoever_no_clear_test_tells_from_the_best():
    found = compare(arms(), GINI)
    assert not_worse(found, "A", ["N", "A", "I"]) == {"I"}
    assert not_worse(found, "N", ["N", "A", "I"]) == set()
    assert not_worse([], "A", ["N", "A"]) == {"N"}


def test_what_is_of_two_seeds_models_is_tested_by_its_pseudovalues():
    def found(seeds):
        other = measures.column("gradient", "other_seed_ssim", "SSIM with the map of another seed", direction="↑")
        chosen = [
            one
            for name, means in MEANS.items()
            for one in seeds_of(name, [{"other_seed_ssim": spread(m)} for m in means[:seeds]])
        ]
        return compare(arms_of(chosen), other)

    gaps = np.subtract(MEANS["A"], MEANS["N"])
    test = found(5)[0]
    assert test.difference.estimate.value == pytest.approx(gaps.mean())
    assert test.difference.gaps == pytest.approx(ring_pseudovalues(gaps))
    assert test.test.p == pytest.approx(stats.ttest_1samp(ring_pseudovalues(gaps), 0).pvalue)
    assert found(2) == []


def test_arms_that_share_fewer_than_two_seeds_are_not_compared():
    lone = arms_of([*seeds_of("N", [{"gini": spread(0.5)}] * 3), run("A", gini=spread(0.6))])
    assert compare(lone, GINI) == []


def test_the_noise_floor_knows_other_seeds_and_the_identity_control():
    floors = noise_floors(arms(), GINI)
    values = np.array(list(MEANS.values()))
    pooled = values.var(axis=1, ddof=1).mean()
    assert floors["other seeds of one recipe"] == pytest.approx(stats.t.ppf(0.975, 12) * np.sqrt(2 * pooled / 5))
    gaps = np.subtract(MEANS["I"], MEANS["A"])
    expected = stats.t.ppf(0.975, 5) * np.sqrt((gaps**2).mean() / 5)
    assert floors["A and its control I"] == pytest.approx(expected)
    assert set(noise_floors(arms()[:1], GINI)) == {"other seeds of one recipe"}


def test_the_tables_say_what_the_tests_say():
    found = with_discovery(compare(arms(), GINI))
    shown, numbers = comparison_sheet(found), comparison_numbers(found)
    assert [row[-1] for row in shown.rows] == ["A better", "I better", "within noise"]
    assert [row[-2] for row in shown.rows][:2] == ["–", "–"]
    text = sheet_markdown(shown)
    assert "| I − A | " in text
    assert "< 0.001" in text.replace("&lt;", "<")
    head, line, *_ = sheet_csv(numbers).splitlines()
    assert dict(zip(head.split(","), line.split(","), strict=True))["p_holm"] == repr(found[0].holm)


def test_a_difference_that_rests_on_few_images_is_one_on_these_images():
    """Every seed shows the same difference on the same five images: sure over seeds, open over images."""
    images = np.zeros(IMAGES)
    images[:5] = [4.0, -2.0, 4.0, -1.0, 4.0]

    def found(driven):
        wobble = [0.001, -0.001, 0.002, -0.002, 0.0]
        plain = seeds_of("N", [{"gini": np.full(IMAGES, 0.3)} for _ in wobble])
        better = seeds_of("A", [{"gini": 0.3 + driven + each} for each in wobble])
        (one,) = compare(arms_of([*plain, *better]), GINI)
        return one

    few, all_of_them = found(images), found(np.full(IMAGES, images.mean()))
    assert few.clear
    assert all_of_them.clear
    assert few.difference.gaps == pytest.approx(all_of_them.difference.gaps)
    tables = np.full((5, IMAGES), 0.3 + images), np.full((5, IMAGES), 0.3)
    wobble = np.array([[0.001], [-0.001], [0.002], [-0.002], [0.0]])
    expected = hierarchical_difference(tables[0] + wobble, tables[1])
    assert astuple(few.difference.anew) == pytest.approx(astuple(expected))
    assert few.difference.on_these_images
    assert not all_of_them.difference.on_these_images
    assert (verdict(few), verdict(all_of_them)) == ("A better, on these images", "A better")
    assert few.difference.limits(2).startswith("on other images, too: [\N{MINUS SIGN}")
    assert all_of_them.difference.limits(2) == ""
    line = dict(zip(comparison_numbers([few]).head, comparison_numbers([few]).rows[0], strict=True))
    assert (line["anew_low"].value, line["anew_high"].value) == (few.difference.anew.low, few.difference.anew.high)
