import numpy as np
import pytest
from constructed import IMAGES, first, road, run, spread

from pellucid.report.contrasts import Difference
from pellucid.report.relation import FEW_SEEDS, ONE_SEED
from pellucid.report.relations import PUBLISHED, relations, settings
from pellucid.report.verdicts import Part, above, at_least, conjunction, within
from pellucid.statistics import Estimate, equal_within, student

HOLDS, FAILS, NOISE, UNTESTABLE = "holds", "does not hold", "within noise", "not testable here"


def over_images(low, high):
    return Difference("", "", Estimate(0.0, low, high, 100), 100, 1)


def verdict(runs, key, scope="Gradient"):
    found = [one for one in relations(runs) if one.key == key and one.scope in {scope, ""}]
    assert len(found) == 1, [one.scope for one in relations(runs) if one.key == key]
    return found[0]


@pytest.mark.parametrize(
    ("rule", "holds", "fails", "noise"),
    [
        (above(), (0.1, 0.2), (-0.2, 0.0), (0.0, 0.2)),
        (above(10), (11, 12), (9, 10), (9, 11)),
        (at_least(), (0.0, 0.2), (-0.2, -0.1), (-0.1, 0.0)),
        (within(0.01), (-0.01, 0.01), (0.011, 0.02), (0.0, 0.02)),
        (within(0.01), (0.0, 0.005), (-0.02, -0.011), (-0.02, 0.005)),
    ],
)
def test_rules_judge_the_interval_and_nothing_else(rule, holds, fails, noise):
    for (low, high), expected in [(holds, HOLDS), (fails, FAILS), (noise, NOISE)]:
        assert rule(over_images(low, high)) == expected
    assert rule(over_images(np.nan, np.nan)) == UNTESTABLE


def test_over_seeds_two_one_sided_tests_judge_equality():
    gaps = (-0.6, -1.1, -1.4, -0.9, -1.3)
    smallest = equal_within(gaps)
    found = Difference("G", "A", student(gaps), 100, 5, gaps)
    assert smallest < -found.estimate.low, "the 95 % interval is the wider one"
    assert within(1.01 * smallest)(found) == HOLDS
    assert within(0.99 * smallest)(found) == NOISE
    assert within(0.1)(found) == FAILS


def test_a_conjunction_needs_every_part():
    def parts(*verdicts):
        return [Part("", None, one) for one in verdicts]

    assert conjunction(parts(HOLDS, HOLDS)) == HOLDS
    assert conjunction(parts(HOLDS, NOISE)) == NOISE
    assert conjunction(parts(NOISE, UNTESTABLE, HOLDS)) == UNTESTABLE
    assert conjunction(parts(UNTESTABLE, FAILS, NOISE)) == FAILS
    assert conjunction([]) == UNTESTABLE


@pytest.mark.parametrize(("gap", "expected"), [(0.1, HOLDS), (-0.1, FAILS), (0.005, NOISE)])
def test_r1_gini_of_a_above_n(gap, expected):
    found = verdict([run("N", gini=spread(0.5)), run("A", gini=spread(0.5 + gap, 0.1))], "R1")
    assert found.verdict == expected
    (part,) = found.parts
    assert part.difference.estimate.value == pytest.approx(gap)
    assert part.difference.images == IMAGES
    assert part.numbers.startswith(f"A − N = {'−' if gap < 0 else '+'}{abs(gap):.3f} [")


@pytest.mark.parametrize(
    ("gap", "sd", "expected"), [(0.0, 0.01, HOLDS), (0.005, 0.01, HOLDS), (0.03, 0.01, FAILS), (0.0, 0.2, NOISE)]
)
def test_r2_is_an_equivalence(gap, sd, expected):
    """An interval that merely includes 0 does not make two models equivalent."""
    for sign in (1, -1):
        runs = [run("A", gini=spread(0.7)), run("G", gini=spread(0.7 + sign * gap, sd))]
        assert verdict(runs, "R2").verdict == expected


@pytest.mark.parametrize(
    ("robust", "natural", "expected"),
    [
        ((50, 600, 600), (900, 750, 750), HOLDS),
        ((50, 600, 500), (900, 750, 750), FAILS),  # G far from A
        ((50, 600, 620), (900, 750, 750), NOISE),  # G 2 points from A, to within about 0.9
        ((50, 120, 120), (900, 750, 750), FAILS),  # A above N, but not by much
        ((50, 600, 600), (700, 750, 750), FAILS),  # A is the better natural classifier
    ],
)
def test_r3_needs_robust_and_natural_accuracy(robust, natural, expected):
    runs = [
        run(role, robust=first(hit), correct=first(right))
        for role, hit, right in zip("NAG", robust, natural, strict=True)
    ]
    found = verdict(runs, "R3", "accuracy")
    assert found.verdict == expected
    assert [part.unit for part in found.parts] == ["points"] * 3


def test_r3_is_not_testable_without_g_unless_it_already_fails():
    good = [run("N", robust=first(50), correct=first(900)), run("A", robust=first(600), correct=first(750))]
    assert verdict(good, "R3", "accuracy").verdict == UNTESTABLE
    assert "no run plays the role G" in verdict(good, "R3", "accuracy").reason
    bad = [run("N", robust=first(50), correct=first(700)), run("A", robust=first(600), correct=first(750))]
    assert verdict(bad, "R3", "accuracy").verdict == FAILS


def ros(role, level, sd=0.0, **more):
    numbers = spread(level, sd)
    return run(role, ros_norm=numbers, ros_quantus=numbers, **more)


@pytest.mark.parametrize("scope", ["Gradient, ROS-norm", "Gradient, ROS-quantus (legacy)"])
@pytest.mark.parametrize(
    ("levels", "sd", "expected"),
    [
        ({"N": 5, "A": 8, "G": 6}, 0, {"R4": HOLDS, "R5": HOLDS, "R6": FAILS}),
        ({"N": 5, "A": 8, "G": 5}, 0, {"R4": HOLDS, "R5": HOLDS, "R6": HOLDS}),
        ({"N": 8, "A": 5, "G": 6}, 0, {"R4": FAILS, "R5": FAILS, "R6": FAILS}),  # nothing was lost, so nothing restored
        ({"N": 5, "A": 5, "G": 5}, 2, {"R4": NOISE, "R5": NOISE, "R6": NOISE}),
    ],
)
def test_r4_r5_r6_on_both_forms_of_ros(scope, levels, sd, expected):
    runs = [ros("N", levels["N"]), ros("A", levels["A"], sd), ros("G", levels["G"], -sd)]
    assert {key: verdict(runs, key, scope).verdict for key in expected} == expected


def test_r4_shows_numerator_and_denominator_apart():
    halves = {"ros_norm_numerator": spread(2.0), "ros_norm_denominator": spread(0.5)}
    smaller = halves | {"ros_norm_denominator": spread(0.05)}
    runs = [run("N", ros_norm=spread(4.0), **halves), run("A", ros_norm=spread(40.0), **smaller)]
    found = verdict(runs, "R4", "Gradient, ROS-norm")
    assert [part.difference.estimate.value for part in found.context] == pytest.approx([0.0, -1.0])
    assert found.verdict == HOLDS  # the context decides nothing


def ssim(*levels, sd=0.0):
    return np.stack([spread(level, sd) for level in levels], axis=1)


@pytest.mark.parametrize(
    ("a", "g", "expected"),
    [
        (ssim(0.8, 0.7), ssim(0.9, 0.8), HOLDS),
        (ssim(0.8, 0.5), ssim(0.9, 0.8), FAILS),  # below N at one level
        (ssim(0.8, 0.7), ssim(0.9, 0.7, sd=0.1), NOISE),
    ],
)
def test_r7_at_every_level_and_legacy_apart(a, g, expected):
    n, other = ssim(0.7, 0.6), ssim(0.9, 0.9)
    runs = [run("N", ssim=n, ssim_legacy=other), run("A", ssim=a, ssim_legacy=n), run("G", ssim=g, ssim_legacy=n)]
    clean = verdict(runs, "R7", "Gradient, clean")
    assert clean.verdict == expected
    assert len(clean.parts) == 4
    assert "4 comparisons" in clean.summary
    assert verdict(runs, "R7", "Gradient, legacy").verdict == FAILS


def test_r7_uses_only_images_defined_for_both():
    n, a = ssim(0.7, 0.6), ssim(0.8, 0.7)
    n[0, 1] = a[1, 1] = np.nan
    a[0, 1], n[1, 1] = -50, 50  # would turn the verdict if it were used
    g = ssim(0.9, 0.8)
    found = verdict([run("N", ssim=n), run("A", ssim=a), run("G", ssim=g)], "R7", "Gradient, clean")
    assert [part.difference.images for part in found.parts] == [100, 98, 100, 99]
    assert [part.verdict for part in found.parts][:2] == [HOLDS, HOLDS]


@pytest.mark.parametrize(
    ("kept", "swing", "r8", "r9"),
    [
        ({"N": 10, "A": 6, "G": 5}, 0, HOLDS, HOLDS),
        ({"N": 6, "A": 10, "G": 11}, 0, FAILS, FAILS),
        ({"N": 6, "A": 6, "G": 6}, 0, FAILS, HOLDS),  # equal is not more, but it is as much
        ({"N": 6, "A": 6, "G": 6}, 3, NOISE, NOISE),
    ],
)
def test_r8_and_r9_on_aopc(kept, swing, r8, r9):
    runs = [run("N", road=road(kept["N"])), run("A", road=road(kept["A"], swing)), run("G", road=road(kept["G"]))]
    assert verdict(runs, "R8").verdict == r8
    assert verdict(runs, "R9").verdict == r9


def test_r8_shows_what_a_random_map_does():
    control = {"N": road(15), "A": road(13)}
    runs = [run(role, road=road(5), road_random=control[role]) for role in "NA"]
    (shown,) = verdict(runs, "R8").context
    assert shown.difference.estimate.value == pytest.approx(0.1)


@pytest.mark.parametrize(("late", "sd", "expected"), [(6, 0, HOLDS), (4, 0, FAILS), (5, 2, NOISE)])
def test_r10_orders_blocks_by_the_number_of_their_layer(late, sd, expected):
    runs = [ros("G", 5, layer="layer2"), ros("G", late, sd, layer="layer10")]
    assert verdict(runs, "R10", "Gradient, ROS-norm").verdict == expected
    middle = ros("G", 1, layer="layer3")  # one step goes down, so the order is broken whatever the rest does
    assert verdict([*runs, middle], "R10", "Gradient, ROS-norm").verdict == FAILS


def test_r10_needs_layers_that_can_be_ordered():
    assert "different layers" in verdict([ros("G", 5)], "R10").reason
    mixed = [ros("G", 5, layer="pool1"), ros("G", 6, layer="stage2")]
    assert "do not say which comes first" in verdict(mixed, "R10").reason
    twice = [ros("G", 5, layer="pool1"), ros("G", 6, layer="pool1")]
    assert "several runs" in verdict(twice, "R10").reason


@pytest.mark.parametrize(
    ("gini", "level", "expected"),
    [((0.70, 0.01), 6.0, (HOLDS, HOLDS)), ((0.76, 0.01), 9.0, (FAILS, FAILS)), ((0.70, 0.3), 8.0, (NOISE, FAILS))],
)
def test_r11_gini_like_g_and_ros_below_a(gini, level, expected):
    runs = [
        run("A", gini=spread(0.7), ros_norm=spread(8.0)),
        run("G", gini=spread(0.7), ros_norm=spread(6.0)),
        run("M1", gini=spread(*gini), ros_norm=spread(level)),
    ]
    found = [verdict(runs, "R11", f"Gradient, {half}, mean filter").verdict for half in ("Gini", "ROS-norm")]
    assert tuple(found) == expected
    (median,) = [one for one in relations(runs) if one.key == "R11" and "Gini, median filter" in one.scope]
    assert (median.verdict, median.reason) == (UNTESTABLE, "no run plays the role M2")


def test_every_relation_is_listed_even_if_nothing_was_measured():
    bare = relations([run("N", correct=first(950)), run("A")])
    assert [one.key for one in bare] == list(PUBLISHED)
    assert {one.verdict for one in bare} == {UNTESTABLE}
    with_maps = relations([run("N", gini=spread(0.5)), run("A", gini=spread(0.6))])
    assert {one.key for one in with_maps} == set(PUBLISHED)
    for one in with_maps:
        assert one.reason or one.verdict != UNTESTABLE


def test_one_seed_speaks_for_images_only_and_five_speak_for_seeds():
    def arms(seeds, gap):
        return [
            one
            for seed in range(seeds)
            for one in (run("N", seed=seed, gini=spread(0.5)), run("A", seed=seed, gini=spread(0.5 + gap(seed))))
        ]

    single = verdict(arms(1, lambda seed: 0.1), "R1")
    assert single.caveat == ONE_SEED
    assert "100 shared images" in single.summary
    two = verdict(arms(2, lambda seed: 0.1 + 0.01 * seed), "R1")
    assert two.caveat == FEW_SEEDS
    five = verdict(arms(5, lambda seed: 0.1 + 0.01 * seed), "R1")
    assert five.caveat == ""
    assert five.verdict == HOLDS
    assert (five.parts[0].difference.seeds, five.parts[0].difference.estimate.n) == (5, 5)
    # over images alone each seed would be clear; over seeds the sign changes, so nothing can be said
    assert verdict(arms(5, lambda seed: (-1) ** seed * 0.1), "R1").verdict == NOISE


def test_runs_are_paired_by_seed_and_ambiguous_ones_are_not():
    runs = [run("N", seed=1, gini=spread(0.5)), run("A", seed=2, gini=spread(0.6))]
    assert verdict(runs, "R1").reason == "no A and N share a seed"
    twice = [run("N", gini=spread(0.5)), run("A", gini=spread(0.6)), run("A", gini=spread(0.7))]
    assert "several runs play the role A with seed 0" in verdict(twice, "R1").reason


def test_images_are_paired_by_identifier_not_by_position():
    n, a = run("N", gini=spread(0.5, 5.0)), run("A", gini=spread(0.6, 5.0)[::-1])
    columns = a.attributions["gradient"]
    object.__setattr__(columns, "ids", columns.ids[::-1])
    assert verdict([n, a], "R1").verdict == HOLDS  # differences are exactly 0.1 when paired rightly


def test_runs_on_other_data_or_architectures_are_not_compared():
    one, two = run("N", gini=spread(0.5)), run("A", gini=spread(0.6))
    two.manifest["data"]["test_sha256"] = "other"
    assert len(settings([one, two])) == 2
    three = run("G", gini=spread(0.6))
    three.manifest["model"]["name"] = "small_cnn"
    assert len(settings([one, three])) == 2
