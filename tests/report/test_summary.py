import numpy as np
from constructed import first, road, run, spread

from pellucid.report import measures, read_runs
from pellucid.report.arms import arms_of
from pellucid.report.comparisons import compare
from pellucid.report.facts import config_differences, measurement_facts, provenance_facts
from pellucid.report.relations import relations
from pellucid.report.summary import headline, tally, warnings

GINI = measures.column("gradient", "gini", "Gini", direction="↑")


def test_summary_says_no_more_than_the_numbers():
    def sentences(gap, sd):
        return headline([run("N", gini=spread(0.5)), run("A", gini=spread(0.5 + gap, sd))])

    clear = [text for text in sentences(0.1, 0.1) if text.startswith("Gini")]
    assert clear == [
        "Gini is highest for A (0.600); then N (0.500). "
        "A\xa0−\xa0N = +0.100 [+0.081, +0.120]: more than the noise over images."
    ]
    (open_,) = [text for text in sentences(0.001, 0.1) if text.startswith("Gini")]
    assert "within the noise over images" in open_
    lone = headline([run("N", gini=spread(0.5), correct=first(500))])
    assert lone == ["Natural accuracy: N (50.0\xa0%).", "Gini: N (0.500)."]


def test_the_two_best_are_told_apart_by_the_test_that_is_corrected_for_all_pairs():
    means = {"N": [0.5, 0.3, 0.6], "A": [0.602, 0.604, 0.603], "G": [0.6, 0.601, 0.5995]}
    arms = arms_of([run(name, seed=s, gini=spread(m)) for name, values in means.items() for s, m in enumerate(values)])
    (gini,) = [text for text in headline(arms) if text.startswith("Gini")]
    found = {frozenset((one.difference.first, one.difference.second)): one for one in compare(arms, GINI)}
    test = found[frozenset("AG")]
    assert test.difference.estimate.excludes(0)
    assert not test.clear
    assert gini.endswith(f"within the noise over seeds (p\xa0{test.holm:.3f} for all pairs).")


def test_arms_without_a_common_seed_are_not_compared():
    arms = arms_of([run(name, seed=seed, gini=spread(0.5)) for name, seed in (("N", 0), ("N", 1), ("A", 2), ("A", 3))])
    assert any("The gap is not tested: no N and A share a seed." in text for text in headline(arms))


def test_summary_does_not_compare_runs_that_share_no_images():
    one, two = run("N", gini=spread(0.5)), run("A", gini=spread(0.9))
    object.__setattr__(two.attributions["gradient"], "ids", np.arange(500, 600))
    (gini,) = [text for text in headline([one, two]) if text.startswith("Gini")]
    assert "not tested: Gini was not measured for both on the same images" in gini


def test_a_collapsed_model_is_named():
    one, other = (run("N", gini=spread(0.5), predicted=np.array(seen)) for seen in ([1, 0, 1, 1], [1, 1, 1, 1]))
    (said,) = (text for text in warnings([one, other]) if "one class" in text or "all images" in text)
    assert said.startswith("N-0-None gives all images the class 'b', so the maps of all models are compared on images")


def test_tally_counts_verdicts():
    found = relations([run("N", gini=spread(0.5), correct=first(950)), run("A", gini=spread(0.6))])
    text = tally(found)
    assert text.startswith("Published relations: 1 check could be made; 1 holds.")
    assert "R2, R3" in text


def levels(*values):
    return np.tile(np.array(values), (100, 1))


def test_warns_where_the_legacy_ssim_follows_the_scale():
    runs = [
        run("N", ssim=levels(0.9, 0.9), ssim_legacy=levels(0.5, 0.5), scale=spread(10)),
        run("A", ssim=levels(0.8, 0.8), ssim_legacy=levels(0.9, 0.9), scale=spread(0.1)),
    ]
    (text,) = warnings(runs)
    assert "legacy SSIM puts A above N (normalised: below), which the normalised SSIM does not show" in text
    assert "map scales: N 10.0 and A 0.100" in text
    unseen = [runs[0], run("A", ssim=levels(0.9, 0.9), ssim_legacy=levels(0.9, 0.9))]
    assert "puts A above N, which the normalised" in warnings(unseen)[0]
    modest = [runs[0], run("A", ssim=levels(0.95, 0.95), ssim_legacy=levels(0.5, 0.5))]
    assert warnings(modest) == []  # the legacy number claims nothing here
    agreeing = [
        run(r, ssim=levels(s, s), ssim_legacy=levels(s, s), scale=spread(1)) for r, s in (("N", 0.5), ("A", 0.6))
    ]
    assert warnings(agreeing) == []


def test_warns_where_a_map_is_no_better_than_a_random_one():
    good, bad = run("A", road=road(5), road_random=road(10)), run("N", road=road(10), road_random=road(10, 2))
    unclear = run("G", road=road(9.9), road_random=road(10, 3))  # above on average, within the noise
    texts = warnings([good, bad, unclear])
    assert [text.split(":")[0] for text in texts] == ["Gradient of N", "Gradient of G"]
    text = texts[0]
    assert "of N: ROAD-AOPC is not clearly above that of a random map" in text


def test_warns_where_ros_differs_by_its_denominator_alone():
    steady = {"ros_norm_numerator": spread(0.4), "ros_norm_denominator": spread(0.1)}
    small = steady | {"ros_norm_denominator": spread(0.01)}
    runs = [run("N", ros_norm=spread(4.0), **steady), run("A", ros_norm=spread(40.0), **small)]
    (text,) = warnings(runs)
    assert "ROS-norm puts A above N, but the relative change of the map (the numerator) is not clearly larger" in text
    moving = steady | {"ros_norm_numerator": spread(4.0)}
    assert warnings([runs[0], run("A", ros_norm=spread(40.0), **moving)]) == []


def test_warns_where_many_draws_were_dropped():
    holes = levels(0.5, 0.5)
    holes[:30, 1] = np.nan
    (text,) = warnings([run("N", ssim=holes)])
    assert "15 % of the noisy draws were dropped" in text


def test_facts_merge_what_agrees_and_show_what_differs(three_runs):
    runs = read_runs(three_runs)
    differences = {fact.label: fact.values for fact in config_differences(runs)}
    assert differences["objective.name"] == ("natural", "adversarial", "adversarial")
    assert differences["objective.eps"] == ("–", "0.1", "0.1")
    assert differences["smoothing.filter"] == ("–", "–", "gaussian")
    assert "smoothing" not in differences
    assert not any(label.startswith(("training", "data", "seed")) for label in differences)
    assert next(fact for fact in measurement_facts(runs) if fact.label == "Robust accuracy").common
    hashes = next(fact for fact in provenance_facts(runs) if fact.label.startswith("Weights"))
    assert not hashes.common
    assert len(set(hashes.values)) == 3
