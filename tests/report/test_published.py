"""The published numbers beside ours: the judgement follows from the interval, and every number is looked for."""

from dataclasses import replace

import pytest
from constructed import first, road, run, spread

from pellucid.report.published import MAPS, TOLERANCE, judge, published_cells
from pellucid.statistics import Estimate


def between(low, high):
    return Estimate((low + high) / 2, low, high, 100, 0)


@pytest.mark.parametrize(
    ("low", "high", "judgement"),
    [
        (0.53, 0.55, "reproduced"),
        (0.52, 0.56, "reproduced"),
        (0.53, 0.57, "within noise"),
        (0.40, 0.70, "within noise"),
        (0.57, 0.60, "differs"),
        (0.40, 0.51, "differs"),
        (float("nan"), float("nan"), "not testable"),
    ],
)
def test_what_an_interval_says_about_a_published_number(low, high, judgement):
    assert judge(0.54, between(low, high), 0.02) == judgement


def on(data, model, runs):
    return [
        replace(
            one,
            manifest=one.manifest | {"data": one.manifest["data"] | {"name": data}, "model": {"name": model}},
        )
        for one in runs
    ]


def found(runs):
    return {(cell.quantity, cell.role): cell for cell in published_cells(runs)}


def test_every_number_of_the_setting_is_looked_for_and_those_that_were_measured_are_judged():
    values = {"gini_legacy": spread(0.545, 0.01), "ros_quantus": spread(1e13, 1e10), "road_legacy": road(5)}
    runs = on("fashion-mnist", "lenet", [run("N", correct=first(899), **values), run("G", gini_legacy=spread(0.9))])
    cells = found(runs)
    assert len(cells) == 2 * 3 + 2 * (5 + 5 + 3)

    gini = next(cell for (what, role), cell in cells.items() if what.startswith("Gini") and role == "N")
    assert (gini.published, gini.judgement) == (0.54, "reproduced")
    assert gini.ours.value == pytest.approx(0.545)
    accuracy = cells["natural accuracy", "N"]
    assert accuracy.ours.value == pytest.approx(89.9)
    assert accuracy.published == 89.9
    by = {
        (cell.quantity.partition(",")[0], cell.role): cell
        for cell in cells.values()
        if "ntegrated" not in cell.quantity
    }
    assert by["log10 ROS", "N"].judgement == "differs"
    assert by["log10 ROS", "N"].ours.value == pytest.approx(13, abs=0.01)
    assert by["Gini", "G"].judgement == "differs"
    assert by["Gini", "A"].reason == "no arm A"
    assert "profile legacy" in by["log10 ROS", "G"].reason


def test_the_block_after_a_later_stage_is_another_table():
    late = on("cifar10", "wide_resnet", [run("G", layer="block2", gini_legacy=spread(0.67))])
    early = on("cifar10", "wide_resnet", [run("G", layer="block1", gini_legacy=spread(0.67))])
    gini = next(key for key in found(late) if key[0].startswith("Gini") and key[1] == "G" and "ntegr" not in key[0])
    assert found(late)[gini].reason == "no arm G"
    assert found(early + late)[gini].judgement == "reproduced"


def test_blocks_after_every_stage_are_compared_with_natural_training():
    places = {1: 0.67, 2: 0.674, 3: 0.9}
    blocks = [run("G", layer=f"block{place}", gini_legacy=spread(value)) for place, value in places.items()]
    cells = found(on("cifar10", "wide_resnet", [run("N", gini_legacy=spread(0.49)), *blocks]))
    gini = {role: cell for (what, role), cell in cells.items() if what.endswith("above N") and what.startswith("Gini")}
    assert {role: cell.published for role, cell in gini.items() if role != "A"} == {
        "G after stage 1": 0.18, "G after stage 2": 0.18, "G after stage 3": 0.19,
    }  # fmt: skip
    assert gini["G after stage 1"].ours.value == pytest.approx(0.18, abs=1e-6)
    assert [gini[f"G after stage {place}"].judgement for place in places] == ["reproduced", "reproduced", "differs"]
    assert gini["A"].reason == "no run plays the role A"


def test_nothing_was_published_of_other_settings():
    assert published_cells([run("N")]) == []


def test_the_tables_are_whole():
    roles = [len(values) for maps in MAPS.values() for kinds in maps.values() for values in kinds.values()]
    assert sum(roles) == 3 * 2 * (5 + 5 + 3) + 2 * 2 * 3
    assert {kind for maps in MAPS.values() for kinds in maps.values() for kind in kinds} < TOLERANCE.keys()
